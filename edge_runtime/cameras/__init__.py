"""Cameras: what gives frames, whatever it is, and what is made of frames that are not as they should be."""
