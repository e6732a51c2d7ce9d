"""Pictures, coded by ours and by others, measured by PSNR and by what classifiers see.

pictures.py    what is coded: shards, folders, labels
peers/         other codecs           streams.py  ours, and other orders of the same integers
plan.py        what is to be measured: codecs, budgets, scales, judges
judges.py      classifiers
measure.py     one picture, measured; run.py: all of them, in processes; rows.py: what is kept
statistics.py  accuracy and PSNR against bytes, with confidence
curves.py      rate and distortion; metrics.py: BD-rate, MS-SSIM
tables.py, plots.py, report.py, first_bytes.py, unusual.py: what people read
evaluation.py  from settings to the report
"""
