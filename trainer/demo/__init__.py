"""The whole circle on the virtual sorting machine."""
