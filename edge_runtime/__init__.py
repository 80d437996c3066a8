"""Camera to valve: the software of the sorting machine itself, without torch."""
