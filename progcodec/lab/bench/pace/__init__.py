"""Speed: who takes how long for the same picture, how time and memory grow, and how far from the machine's limit that is.

runners.py     ours and others behind one face: pixels to bytes and back
growth.py      time and memory against pixels
operations.py  multiplications a pixel, beside what the machine can do
plots.py       log-log plot of growth
"""
