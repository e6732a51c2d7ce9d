"""What comes with the package: weights, the hierarchy of ImageNet's classes, the demo's photograph."""

from pathlib import Path

FOLDER = Path(__file__).resolve().parent
