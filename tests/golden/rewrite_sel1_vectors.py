"""Write sel1_vectors.jsonl: good and malformed frames with what a receiver must make of each."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bridge_vectors import vectors_text

Path(__file__).with_name("sel1_vectors.jsonl").write_text(vectors_text(), encoding="utf-8")
