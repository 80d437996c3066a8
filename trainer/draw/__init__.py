"""Which samples join the training set: pure rules over numbers."""
