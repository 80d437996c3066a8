"""A network to the files that ship: ONNX, calibrated, checked."""
