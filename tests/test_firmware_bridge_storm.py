"""No event fires twice, whatever the line does and however often hosts die: the whole C controller in virtual time."""

import json
import math
import os
import zlib
from pathlib import Path
from typing import Any, Final

import pytest
from c_programs import PROGRAMS, compile_c, needs_compiler, run_json

from firmware_bridge.messages import EjectReason
from firmware_bridge.native_build import C_FOLDER

RESULTS: Final = Path(__file__).parent / "bench" / "results"
NEAR_WRAP: Final = 2**32 - 500_000  # event ids wrap half-way through a million
PARTS: Final = 4
EVENTS_OF_ALL: Final = 100_000_000
COMMAND: Final = "python -m pytest -n 2 -m long tests/test_firmware_bridge_storm.py"

pytestmark = needs_compiler


@pytest.fixture(scope="module")
def storm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_c("sel_storm.c", tmp_path_factory.mktemp("storm") / "storm", "-O2")


def assert_is_a_storm(result: dict[str, Any], events: int) -> None:
    """No law holds by itself: all that could make an event fire twice did happen."""
    assert result["events"] >= events
    assert result["fired"] > 0.8 * events
    assert result["duplicates"] > 0.5 * events
    assert result["sessions"] > 50e-6 * events
    assert result["batches_of_ghosts"] > 0.01 * events
    for line in (result["to_board"], result["to_host"]):
        shares = [line[what] / line["sent"] for what in ("lost", "doubled", "damaged")]
        assert shares == pytest.approx([0.1, 0.1, 0.01], rel=0.1)


def test_of_a_million_events_none_fires_twice(storm: Path) -> None:
    result = run_json(storm, 1_000_000, 1, NEAR_WRAP)
    assert (result["fired_twice"], result["too_old"]) == (0, 0)
    assert_is_a_storm(result, 1_000_000)


def test_a_controller_that_forgets_what_it_has_seen_is_caught(tmp_path: Path) -> None:
    """The counter sees double fires: it finds those of a controller whose memory is cleared ten times a second."""
    program = compile_c("sel_storm.c", tmp_path / "broken", "-O2", "-DSEL_STORM_BREAK")
    assert run_json(program, 200_000, 1)["fired_twice"] > 1000


@pytest.mark.long
@pytest.mark.parametrize("part", range(1, PARTS + 1))
def test_of_a_hundred_million_events_none_fires_twice(storm: Path, part: int) -> None:
    """In four parts; the page of results has the sum of those that have run."""
    events = EVENTS_OF_ALL // PARTS
    result = run_json(storm, events, 100 + part, timeout_s=1800)
    core = code_number()
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"link_storm_{core:08x}_{part}.json").write_text(json.dumps(result), encoding="utf-8")
    parts = sorted(RESULTS.glob(f"link_storm_{core:08x}_*.json"))
    write_page([json.loads(path.read_text(encoding="utf-8")) for path in parts])
    assert (result["fired_twice"], result["too_old"]) == (0, 0)
    assert_is_a_storm(result, events)


def code_number() -> int:
    """Return a number of what was tested: only parts of one and the same code add up."""
    code = 0
    for path in [*sorted(C_FOLDER.glob("*.h")), PROGRAMS / "sel_storm.c"]:
        code = zlib.crc32(path.read_bytes(), code)
    return code


def write_page(parts: list[dict[str, Any]]) -> None:
    """Write link_storm.md, the sum of the parts."""

    def total(name: str) -> Any:
        return sum(part[name] for part in parts)

    def both_lines(what: str) -> int:
        return sum(part[line][what] for part in parts for line in ("to_board", "to_host"))

    frames, fired, twice = both_lines("sent"), total("fired"), total("fired_twice")
    rate = f"at most {-math.log(0.05) / fired:.1e} an event (95 %, one-sided)" if not twice else f"{twice / fired:.1e}"
    speed = total("events") / total("cpu_s") / 1e6
    lines = [
        "# Events that fire twice",
        "",
        f"{total('events'):,} events sent to the whole C controller in {len(parts)} seeded parts, in virtual time",
        f"({total('virtual_s'):,.0f} s of it), by hosts that die and come back, over a line that loses, doubles,",
        "damages and reorders frames: `tests/c/sel_storm.c`.",
        "",
        f"- fired twice: {twice} of {fired:,} that fired",
        f"- rate: {rate}",
        f"- duplicates that the controller suppressed: {total('duplicates'):,}",
        f"- sessions, with no restart of a controller: {total('sessions'):,}",
        f"- batches that ghosts of dead hosts sent: {total('batches_of_ghosts'):,}",
        f"- frames: {frames:,}; lost {both_lines('lost'):,}, doubled {both_lines('doubled'):,}",
        f"- copies of them that were damaged: {both_lines('damaged'):,}",
        f"- speed: {speed:.1f} M events a second of one core, {total('cpu_s'):.0f} s in all",
        "",
        "Reports that reached a host (those of a session that ended went with it):",
        "",
        "| reason | events |",
        "|---|---:|",
    ]
    counts = [sum(column) for column in zip(*(part["reasons"] for part in parts), strict=True)]
    lines += [f"| {reason.name} | {count:,} |" for reason, count in zip(EjectReason, counts, strict=True) if count]
    lines += ["", f"Made by `{COMMAND}`."]
    page = RESULTS / f"link_storm_{os.getpid()}.tmp"  # two workers may finish at once
    page.write_text("\n".join(lines) + "\n", encoding="utf-8")
    page.replace(RESULTS / "link_storm.md")
