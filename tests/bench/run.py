"""`make bench`: every bench of this folder, one table, one file. Ratios within one run, CPU time, medians, interleaved.

Rows are dicts of name, value, unit, target (None where a figure is only told) and holds (None without a target). The
machine's name and load are in the file, since figures of a busy machine are worth less.
"""

import importlib
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE.parent.parent / "bench-results.json"


def main() -> None:
    """Run all benches, print the table, write bench-results.json; leave with 1 when a target is missed."""
    sys.path.insert(0, str(HERE))
    rows = []
    for path in sorted(HERE.glob("bench_*.py")):
        sys.stderr.write(f"{path.stem} ...\n")
        rows += importlib.import_module(path.stem).rows()
    sys.stdout.write(table(rows) + "\n")
    machine = {"processor": platform.machine(), "cores": os.cpu_count(), "load_1min": os.getloadavg()[0]}
    RESULTS.write_text(json.dumps({"schema_version": 1, "machine": machine, "rows": rows}, indent=1) + "\n")
    sys.stderr.write(f"written to {RESULTS.name}\n")
    sys.exit(any(row["holds"] is False for row in rows))


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as text."""
    lines = [f"{'name':<36}{'value':>14}  {'unit':<14}{'target':>12}  holds"]
    for row in rows:
        target = "" if row["target"] is None else f"{row['target']:,.6g}"
        holds = {None: "", True: "yes", False: "NO"}[row["holds"]]
        lines.append(f"{row['name']:<36}{row['value']:>14,.6g}  {row['unit']:<14}{target:>12}  {holds}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
