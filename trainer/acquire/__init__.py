"""Samples into the pool: read, cut, weigh, group, split; each file accounted for."""
