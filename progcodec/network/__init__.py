"""Networks: transforms, the float mean path, the integer scale path, checkpoints.

Knows nothing of bytes on the wire.
"""
