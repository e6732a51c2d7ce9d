"""Training of a model: images, objective, optimiser, loop, export. Needs the ``train`` extra."""
