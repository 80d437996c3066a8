"""A training set to a network: the only place where weights change."""
