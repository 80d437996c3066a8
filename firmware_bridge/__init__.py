"""Bytes on a serial line, typed messages, valves: the ground floor that knows no pixels and no models."""
