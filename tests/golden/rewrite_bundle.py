"""Write bundle_v1.sbun, the bundle that every later release must still read."""

import tempfile
from pathlib import Path
from typing import Final

from deploy.bundle import write_bundle
from deploy.bundle_format import Release
from edge_runtime.storage import sha256_hex

_PAYLOADS: Final = {"model.onnx": b"not a model", "card.json": b"{}", "extra/notes.txt": b""}

with tempfile.TemporaryDirectory() as folder:
    for number, data in enumerate(_PAYLOADS.values()):
        (Path(folder) / str(number)).write_bytes(data)
    sources = {path: Path(folder) / str(number) for number, path in enumerate(_PAYLOADS)}
    write_bundle(
        sources,
        Path(__file__).with_name("bundle_v1.sbun"),
        sha256_hex(_PAYLOADS["model.onnx"]),
        ort_min="1.22.0",
        release=Release(number=7, notes="golden"),
    )
