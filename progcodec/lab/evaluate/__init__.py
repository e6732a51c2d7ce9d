"""Judging the codec: metrics, other codecs beside it, rate-distortion curves, speed. Needs the ``evaluate`` extra."""
