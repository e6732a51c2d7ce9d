"""What each part of the codec is worth: variants that differ in one thing, trained at equal budget,
measured in real bytes.

variants.py   the list: one line for each variant
run.py        trains and measures each of them with each seed; what is done is not done again
measure.py    one trained variant on held-out pictures: curve of cuts, level ends, answers
table.py      differences from the base, seed by seed, and whether they are more than noise
"""
