"""Sample to model: the norm-balanced feedback loop on a technician's workstation."""

import edge_runtime  # noqa: F401 - before anything of the trainer imports onnxruntime: it must not report to its maker
