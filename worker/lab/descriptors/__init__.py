"""What turns crops into vectors: the papers' hand-made features, convolutional features, and the worker's own embedders."""
