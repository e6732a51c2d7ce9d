"""What a prefix shows: class probabilities, and from these answers that nest."""
