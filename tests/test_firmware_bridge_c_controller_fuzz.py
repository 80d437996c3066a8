"""No host, however hostile, breaks a law of the C reference controller; and the laws would see it if one did."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from c_programs import SANITIZED, compile_c, needs_compiler, needs_sanitizers, run_json

from firmware_bridge.native_build import C_FOLDER

FUZZER: Final = "sel_controller_fuzz.c"

pytestmark = needs_compiler


def fuzz(folder: Path, inputs: int, seed: int, *, include: Path = C_FOLDER, flags: Sequence[str] = SANITIZED) -> Any:
    program = compile_c(FUZZER, folder / f"fuzz{seed}", *flags, "-DSEL_FUZZ_MAIN", include=include)
    return run_json(program, inputs, seed, timeout_s=1800)


@needs_sanitizers
def test_no_order_of_frames_and_times_breaks_a_law_of_the_controller(tmp_path: Path) -> None:
    seen = fuzz(tmp_path, 2000, 1)
    assert seen.pop("inputs") == 2000
    assert min(seen.pop("reasons")) > 10  # each was given
    assert min(seen.values()) > 10  # and everything else was reached


@needs_sanitizers
@pytest.mark.long
@pytest.mark.parametrize("seed", [2, 3, 4, 5])
def test_many_orders_of_frames_and_times_break_no_law_of_the_controller(tmp_path: Path, seed: int) -> None:
    assert fuzz(tmp_path, 100_000, seed)["inputs"] == 100_000


def test_the_entry_for_fuzzers_stands_alone(tmp_path: Path) -> None:
    program = compile_c(FUZZER, tmp_path / "entry.o", "-c")
    defined = subprocess.run(["nm", program], check=True, capture_output=True, text=True, timeout=60).stdout
    assert re.findall(r" T (\w+)", defined) == ["LLVMFuzzerTestOneInput"]


# Each a law that the controller would break without this line.
MISTAKES: Final = [
    ("sel_eject.h", "e->seen[bit / 8] = (uint8_t)(e->seen[bit / 8] | mask);", ""),
    ("sel_controller.h", "&& c->drain_end == SEL_NO_TICK;\n}", ";\n}"),
]
MORE_MISTAKES: Final = [
    (
        "sel_eject.h",
        "if (evid < e->next_evid - SEL_WINDOW_EVENTS)",
        "if (evid < e->next_evid - SEL_WINDOW_EVENTS - 300)",
    ),
    ("sel_eject.h", "e->seen[at / 8] = (uint8_t)(e->seen[at / 8] & ~(1u << at % 8));", ";"),
    ("sel_eject.h", "v->since < v->until && start <= v->until", "start <= v->until"),
    ("sel_eject.h", "!is_open && start >= v->until + e->limits.min_off", "start >= v->until + e->limits.min_off"),
    ("sel_eject.h", "tick + sel_min(pulse, e->limits.max_pulse)", "tick + pulse"),
    ("sel_eject.h", "stop = sel_min(stop, v->since + e->limits.max_pulse);", ""),
    ("sel_eject.h", "part.start = v->until + e->limits.min_off;", "part.start = v->until;"),
    ("sel_eject.h", "return e->pending < e->slots ?", "return e->pending <= e->slots ?"),
    ("sel_eject.h", "return e->reports_n + e->pending < SEL_REPORTS;", "return 1;"),
    ("sel_eject.h", "while (n < max && e->reports_n != 0)", "while (n < max && e->reports_n > 1)"),
    ("sel_eject.h", "    else if (is_firing)\n", "    else if (1)\n"),
    ("sel_eject.h", "    v->until = part->stop;", "    v->until = part->stop + 1;"),
    ("sel_eject.h", "    e->pending = 0;\n    e->reports_n", "    e->reports_n"),
    ("sel_eject.h", "e->valves[i].until = sel_min(e->valves[i].until, tick);", ";"),
    ("sel_controller.h", "    sel_eject_stop(&c->eject, tick);\n", "    sel_eject_run(&c->eject, tick);\n"),
    ("sel_controller.h", "sel_change_state(c, SEL_BOARD_STATE_SAFE);", ";"),
    ("sel_controller.h", "while (c->control.n < SEL_CONTROL_WINDOW && sel_push_next(c))", "while (sel_push_next(c))"),
    ("sel_control.h", "if (seq != c->next_seq_in || sel_control_room(c) == 0)", "if (seq != c->next_seq_in)"),
]


@pytest.mark.parametrize(
    ("header", "line", "mistake"), [*MISTAKES, *(pytest.param(*row, marks=pytest.mark.long) for row in MORE_MISTAKES)]
)
def test_the_laws_see_a_controller_with_a_mistake(tmp_path: Path, header: str, line: str, mistake: str) -> None:
    for path in C_FOLDER.glob("*.h"):
        shutil.copy(path, tmp_path)
    text = (tmp_path / header).read_text(encoding="ascii")
    assert text.count(line) == 1
    (tmp_path / header).write_text(text.replace(line, mistake), encoding="ascii")
    program = compile_c(FUZZER, tmp_path / "fuzz", "-O1", "-w", "-DSEL_FUZZ_MAIN", include=tmp_path)
    done = subprocess.run([program, "10000", "1"], check=False, capture_output=True, text=True, timeout=60)
    assert "broken:" in done.stderr
