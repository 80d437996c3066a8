"""Cameras: one module a kind, all behind `camera.CameraSource`."""
