"""Write card_v1_int8.json, a card that every later release must still read.

card_v1.json is a card from before INT8; it is kept as it was written and never made again.
"""

from pathlib import Path

import msgspec

from edge_runtime.crop import CropSpec
from edge_runtime.norm import ClassNorms, NormSpec
from edge_runtime.schemas import ClassMetrics, DisplayName, Int8Card, Int8Recall, Lineage, ModelCard

_DIGEST = "0123456789abcdef" * 4
_FOLDER = Path(__file__).parent
_INT8 = Int8Card(
    sha256=_DIGEST[::-1],
    refused="",
    mended_by="exclusion",
    excluded=("node_conv2d",),
    calibration_crops=320,
    samples=300,
    changed_decisions=2,
    macro_f1_fp32=0.9,
    macro_f1=0.8975,
    recalls={"good": Int8Recall(200, 0.95, 0.945), "stone": Int8Recall(100, 0.8, 0.8)},
    processor="x86_64-vnni",
)
_CARD = ModelCard(
    model_id=_DIGEST,
    classes=("good", "stone"),
    display_names={"good": DisplayName("Rice", "大米"), "stone": DisplayName("Stone", "石子")},
    crop=CropSpec(),
    norm=NormSpec(channel_weights=(1, 2, 3)),
    class_norms={"good": ClassNorms(2, 3, 5), "stone": ClassNorms(1, 7, 49)},
    temperature=1.5,
    metrics={"good": ClassMetrics(200, 0.9, 0.95, 0.92), "stone": ClassMetrics(100, 0.9, 0.8, 0.85)},
    macro_f1=0.9,
    worst_class_recall=0.8,
    lineage=Lineage(_DIGEST, _DIGEST, 3, 2, 100, 900, seed=1, m=8, a=4, b=4, versions={"torch": "2.13.0"}),
    opset=20,
    ort_min="1.22.0",
    int8=_INT8,
)

(_FOLDER / "card_v1_int8.json").write_bytes(msgspec.json.format(msgspec.json.encode(_CARD)) + b"\n")
