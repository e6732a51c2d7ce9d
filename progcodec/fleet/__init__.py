"""The same work over many inputs, on one machine or on many.

    operation.py    what is done to one input: bytes in, bytes out; encode, decode and truncate
    classify.py     class probabilities of many streams, as an operation
    flow.py         reading, coding and writing side by side; inputs of one size in batches
    pool.py         the threads that this takes
    journal.py      which outputs are finished, by fingerprint
    shards.py       tar files in, tar files out; storage.py: on a disk or in an object store
    cluster.py      the same over a Ray cluster (extra: ``progcodec[ray]``)

Nothing here imports torch, numpy or Ray before it is used.
"""
