"""The laboratory: training, evaluation, measurements, building hierarchies.

The product works without it.

train/            makes checkpoints and classifiers
evaluate/         measures them beside other codecs
bench/            speed, fleets, big pictures, soak
hierarchy_build/  groups classes by the embeddings of their names
commands/         their commands on the command line
"""
