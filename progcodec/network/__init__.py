"""Transforms, mean path, scale path, checkpoints. Knows nothing of bytes on the wire."""
