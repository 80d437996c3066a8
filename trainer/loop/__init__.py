"""The norm-balanced feedback loop, from a pool to a model folder."""
