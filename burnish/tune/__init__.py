"""Choosing how to train: the learning-rate prior, the candidates of a search and the pick among them."""
