"""Camera to valve: the software of the sorting machine itself, without torch."""

import os

# onnxruntime 1.32 for Linux comes with telemetry and keeps an identifier in the home folder, unless this is set before
# it is imported. A machine in a factory has neither; whoever sets the variable decides otherwise.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
