"""Write sel1_messages.json: one or more of every message; a difference in it is a change of the protocol."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bridge_messages import golden_rows

TEXT = json.dumps(golden_rows(), indent=1) + "\n"
Path(__file__).with_name("sel1_messages.json").write_text(TEXT, encoding="utf-8")
