"""sel_codec.h as a controller compiles it: the limits it keeps, the bytes it survives, the errors it sees."""

import ctypes
import json
import math
import os
import re
import shutil
import subprocess
import zlib
from pathlib import Path
from typing import Any

import pytest
from c_programs import (
    SANITIZED,
    compile_c,
    needs_compiler,
    needs_gcov,
    needs_sanitizers,
    run_json,
)
from hypothesis import given
from hypothesis import strategies as st
from wire_streams import frames, streams

from firmware_bridge.codec import decode_payload
from firmware_bridge.errors import MessageError
from firmware_bridge.framing import Deframer, Frame, cobs_encode, encode_frame
from firmware_bridge.native_build import C_FOLDER

HEADER = C_FOLDER / "sel_codec.h"
RESULTS = Path(__file__).parent / "bench" / "results"
MAX_TEXT_B, MAX_STATE_B = 1024, 512
BODIES_B = (8, 100, 253, 254, 255, 264, 1032)  # limits of a controller; 264 is the header's own

pytestmark = needs_compiler


class CFrame(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_uint8),
        ("epoch8", ctypes.c_uint8),
        ("seq", ctypes.c_uint16),
        ("payload", ctypes.POINTER(ctypes.c_uint8)),
        ("payload_len", ctypes.c_size_t),
    ]


class Probe:
    """The codec compiled with one limit."""

    def __init__(self, folder: Path, max_body_b: int) -> None:
        target = folder / f"probe{max_body_b}.so"
        compile_c("sel_probe.c", target, "-O2", "-fPIC", "-shared", f"-DSEL_MAX_BODY={max_body_b}")
        self.library = ctypes.CDLL(str(target))
        self.library.probe_frame.restype = CFrame
        self.library.probe_encode.restype = self.library.probe_state_b.restype = ctypes.c_size_t
        self.max_body_b = max_body_b

    def encode(self, frame: Frame) -> bytes:
        out = ctypes.create_string_buffer(len(frame.payload) + 20)
        used_b = self.library.probe_encode(out, *frame, ctypes.c_size_t(len(frame.payload)))
        return out.raw[:used_b]

    def decode(self, data: bytes) -> tuple[list[Frame], list[int]]:
        """Return the frames, and the counters in the order of FrameCounters."""
        state, received = ctypes.create_string_buffer(self.library.probe_state_b()), []
        self.library.probe_init(state)
        for byte in data:
            if self.library.probe_push(state, byte) == 1:
                frame = self.library.probe_frame(state)
                payload = bytes(frame.payload[: frame.payload_len])
                received.append(Frame(frame.type, frame.epoch8, frame.seq, payload))
        return received, list((ctypes.c_uint32 * 5).from_buffer(state))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("c")


@pytest.fixture(scope="module")
def probes(folder: Path) -> dict[int, Probe]:
    return {max_body_b: Probe(folder, max_body_b) for max_body_b in BODIES_B}


def counters_of(deframer: Deframer) -> list[int]:
    counters = deframer.counters
    return [counters.good, counters.cobs_err, counters.crc_err, counters.len_err, counters.overflow]


@given(st.sampled_from(BODIES_B).flatmap(lambda max_body_b: st.tuples(st.just(max_body_b), streams(max_body_b))))
def test_every_stream_gets_the_verdicts_of_the_python_twin(probes: dict[int, Probe], case: tuple[int, bytes]) -> None:
    max_body_b, stream = case
    deframer = Deframer(max_body_b)
    expected = deframer.feed(stream)
    assert (expected, counters_of(deframer)) == probes[max_body_b].decode(stream)


@pytest.mark.parametrize("max_body_b", BODIES_B)
@pytest.mark.parametrize("code", [1, 2, 0xFF])
def test_pieces_around_the_limit_get_the_verdicts_of_the_python_twin(
    probes: dict[int, Probe], max_body_b: int, code: int
) -> None:
    for length in range(max_body_b - 2, max_body_b + 9):
        stream = bytes((code,)) * length + b"\0"
        deframer = Deframer(max_body_b)
        assert (deframer.feed(stream), counters_of(deframer)) == probes[max_body_b].decode(stream)


def test_a_limit_that_bodies_exceed_leaves_what_lies_behind_the_decoder_as_it_was(probes: dict[int, Probe]) -> None:
    """With 254 B the body ends where the structure ends: not even padding hides a byte too many."""
    probe, guard = probes[254], b"\xa5" * 64
    size_b = probe.library.probe_state_b()
    state = ctypes.create_string_buffer(bytes(size_b) + guard, size_b + len(guard))
    probe.library.probe_init(state)
    for length in range(250, 320):
        for byte in cobs_encode(b"\x07" * length) + b"\0":
            probe.library.probe_push(state, byte)
    assert state.raw[size_b:] == guard


@given(st.sampled_from(BODIES_B).flatmap(lambda max_body_b: st.tuples(st.just(max_body_b), frames(max_body_b))))
def test_every_frame_has_the_wire_bytes_of_the_python_twin(probes: dict[int, Probe], case: tuple[int, Frame]) -> None:
    max_body_b, frame = case
    assert encode_frame(*frame, max_body_b=max_body_b) == probes[max_body_b].encode(frame)


@pytest.mark.parametrize(
    "fill", [b"\x07", b"\0", b"\x07" * 253 + b"\0", b"\x07" * 250 + b"\0", b"\x07" * 100 + b"\0\0"]
)
def test_payloads_of_every_length_have_the_wire_bytes_of_the_python_twin(probes: dict[int, Probe], fill: bytes) -> None:
    for length in range(257):
        frame = Frame(0x11, 0x5A, 0x0102, (fill * 257)[:length])
        assert encode_frame(*frame) == probes[264].encode(frame)
    assert probes[264].encode(Frame(1, 1, 1, bytes(257))) == b""


def test_no_line_of_the_header_needs_more_than_c99_and_three_standard_headers(folder: Path) -> None:
    """Freestanding, pedantic, and with nothing to link but what compilers take for granted."""
    program = compile_c("sel_probe.c", folder / "free.o", "-O2", "-pedantic", "-ffreestanding", "-Wshadow", "-c")
    undefined = subprocess.run(["nm", "-u", program], check=True, capture_output=True, text=True, timeout=60).stdout
    assert set(undefined.split()) <= {"U", "memset", "memcpy", "_GLOBAL_OFFSET_TABLE_"}
    includes = re.findall(r"#include <(.*)>", HEADER.read_text(encoding="utf-8"))
    assert includes == ["stddef.h", "stdint.h", "string.h"]


def test_a_limit_that_lengths_cannot_hold_is_refused(folder: Path) -> None:
    with pytest.raises(AssertionError, match=r"SEL_MAX_BODY must be 8\.\.65000"):
        compile_c("sel_probe.c", folder / "x.o", "-c", "-DSEL_MAX_BODY=7")
    with pytest.raises(AssertionError, match=r"SEL_MAX_BODY must be 8\.\.65000"):
        compile_c("sel_probe.c", folder / "x.o", "-c", "-DSEL_MAX_BODY=65001")


@pytest.mark.skipif(shutil.which("size") is None, reason="no `size` of binutils on the PATH")
def test_code_and_state_fit_a_small_controller(folder: Path, probes: dict[int, Probe]) -> None:
    program = compile_c("sel_probe.c", folder / "size.o", "-Os", "-c")
    printed = subprocess.run(["size", program], check=True, capture_output=True, text=True, timeout=60).stdout
    text_b, data_b, bss_b = map(int, printed.splitlines()[1].split()[:3])
    assert text_b <= MAX_TEXT_B
    assert (data_b, bss_b) == (0, 0)  # no state but the caller's
    assert probes[264].library.probe_state_b() <= MAX_STATE_B


def fuzz(folder: Path, inputs: int, seed: int) -> dict[str, Any]:
    program = compile_c("sel_fuzz.c", folder / f"fuzz{seed}", *SANITIZED, "-DSEL_FUZZ_MAIN")
    return run_json(program, inputs, seed, timeout_s=1200)


@needs_sanitizers
def test_mutated_streams_break_no_law_and_no_memory(folder: Path) -> None:
    result = fuzz(folder, 100_000, 1)
    assert result.pop("inputs") == 100_000
    assert min(result.values()) > 1000  # each verdict was reached


@needs_sanitizers
@pytest.mark.long
@pytest.mark.parametrize("seed", [2, 3, 4, 5])
def test_many_mutated_streams_break_no_law_and_no_memory(folder: Path, seed: int) -> None:
    assert fuzz(folder, 3_000_000, seed)["inputs"] == 3_000_000


def test_the_entry_for_fuzzers_stands_alone(folder: Path) -> None:
    """Without the program of its own the file has no main: libFuzzer and AFL++ bring theirs."""
    program = compile_c("sel_fuzz.c", folder / "entry.o", "-c")
    defined = subprocess.run(["nm", program], check=True, capture_output=True, text=True, timeout=60).stdout
    assert re.findall(r" T (\w+)", defined) == ["LLVMFuzzerTestOneInput"]


@needs_gcov
def test_the_mutator_reaches_every_line_and_nearly_every_branch(tmp_path: Path) -> None:
    run_json(compile_c("sel_fuzz.c", tmp_path / "fuzz", "-O0", "--coverage", "-DSEL_FUZZ_MAIN"), 20_000, 9)
    counts = [str(path) for path in tmp_path.glob("*.gcda")]
    gcov = ["gcov", "--json-format", "--branch-probabilities", "--stdout", *counts]
    report = json.loads(subprocess.run(gcov, check=True, capture_output=True, cwd=tmp_path, timeout=60).stdout)
    lines = [line for file in report["files"] if Path(file["file"]).name == HEADER.name for line in file["lines"]]
    branches = [branch["count"] for line in lines for branch in line["branches"]]
    assert [line["line_number"] for line in lines if line["count"] == 0] == []
    assert len(lines) > 90
    assert len(branches) > 30
    assert sum(count > 0 for count in branches) >= 0.95 * len(branches)


def most_by_chance(errors: int) -> int:
    """Return a count that chance, 2^-32 an error, exceeds once in 10,000 runs at most."""
    mean, most = errors / 2**32, 0
    term = total = math.exp(-mean)
    while 1 - total > 1e-4:
        most += 1
        term *= mean / most
        total += term
    return most


def interval95(count: int) -> tuple[float, float]:
    """Return the exact 95 % interval of a Poisson mean (Garwood 1936), by bisection."""

    def at_most(k: int, mean: float) -> float:
        return sum(math.exp(-mean) * mean**i / math.factorial(i) for i in range(k + 1))

    def mean_where(k: int, probability: float) -> float:
        low, high = 0.0, 10.0 * (k + 5)
        for _ in range(100):
            middle = (low + high) / 2
            low, high = (middle, high) if at_most(k, middle) > probability else (low, middle)
        return low

    return (mean_where(count - 1, 0.975) if count else 0.0), mean_where(count, 0.025)


def test_the_interval_is_that_of_the_literature() -> None:
    """Garwood 1936, table of 95 % limits: 0 gives 0..3.69, 1 gives 0.0253..5.57, 10 gives 4.80..18.39."""
    shown = [tuple(round(limit, 2) for limit in interval95(count)) for count in (0, 1, 10)]
    assert shown == [(0.0, 3.69), (0.03, 5.57), (4.8, 18.39)]


@pytest.fixture(scope="module")
def injector(folder: Path) -> Path:
    return compile_c("sel_errors.c", folder / "errors", "-O2")


def test_a_million_errors_of_the_line_are_all_seen(injector: Path) -> None:
    result = run_json(injector, 1_000_000, 1)
    assert (result["injected"], result["undetected"]) == (1_000_000, 0)
    assert all(kind["injected"] == 125_000 for kind in result["kinds"].values())
    assert result["left_to_crc"] > 100_000  # many were well-formed but for the checksum


def test_of_all_stuck_lines_only_ones_make_a_frame_and_no_message_has_its_payload() -> None:
    """CRC-32 of FF FF FF FF is FF FF FF FF; no other run of equal bytes up to the longest body is right."""
    stuck = [(byte, n) for byte in range(256) for n in range(8, 265) if zlib.crc32(bytes((byte,)) * n) == 0x2144DF1C]
    assert stuck == [(0xFF, 8)]
    [frame] = Deframer().feed(b"\x09" + b"\xff" * 8 + b"\0")
    assert frame == Frame(0xFF, 0xFF, 0xFFFF, b"")
    assert [type_ for type_ in range(256) if is_message(type_, b"")] == []


def is_message(type_: int, payload: bytes) -> bool:
    try:
        decode_payload(type_, payload)
    except MessageError:
        return False
    return True


def test_a_decoder_that_checks_12_bits_lets_errors_through(tmp_path: Path) -> None:
    """The injector can tell an undetected error: it finds those of a weaker decoder."""
    header = HEADER.read_text(encoding="utf-8")
    weak = header.replace("!= SEL_CRC_RESIDUE", "% 4096u != SEL_CRC_RESIDUE % 4096u")
    assert weak != header
    (tmp_path / HEADER.name).write_text(weak, encoding="utf-8")
    program = compile_c("sel_errors.c", tmp_path / "weak", "-O2", include=tmp_path)
    result = run_json(program, 1_000_000, 1)
    assert 0.3 < result["undetected"] * 4096 / result["left_to_crc"] < 3


@pytest.mark.long
@pytest.mark.parametrize("part", [1, 2, 3, 4])
def test_a_thousand_million_errors_leave_no_more_than_chance(injector: Path, part: int) -> None:
    """250 million in each of four parts; the page of results has the sum of those that have run."""
    errors = 250_000_000
    result = run_json(injector, errors, 1000 + part, timeout_s=1800)
    codec = zlib.crc32(HEADER.read_bytes())  # only parts of one and the same codec add up
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"link_errors_{codec:08x}_{part}.json").write_text(json.dumps(result), encoding="utf-8")
    parts = sorted(RESULTS.glob(f"link_errors_{codec:08x}_*.json"))
    write_page([json.loads(path.read_text(encoding="utf-8")) for path in parts])
    assert result["injected"] == errors
    assert result["undetected"] <= most_by_chance(errors)


def write_page(parts: list[dict[str, Any]]) -> None:
    """Write link_errors.md, the sum of the parts."""
    injected, undetected = sum(part["injected"] for part in parts), sum(part["undetected"] for part in parts)
    low, high = interval95(undetected)
    lines = [
        "# Errors of the line that the receiver does not notice",
        "",
        f"{injected:,} errors injected in {len(parts)} seeded parts; {sum(p['left_to_crc'] for p in parts):,} were",
        "well-formed but for the CRC. Undetected: a frame was accepted that was not sent. All frames have a payload,",
        "as all messages have: without one, eight bytes 0xFF, a line stuck at ones, are an intact frame.",
        "",
        f"- undetected: {undetected} (95 % interval of the mean {low:.2f} to {high:.2f})",
        f"- chance at 2^-32 an error: {injected / 2**32:.3f} expected, 99.99 % limit {most_by_chance(injected)}",
        f"- rate: {undetected / injected:.2e} an error, at most {high / injected:.2e} (95 %)",
        f"- {sum(part['cpu_s'] for part in parts):.0f} s of one core",
        "",
        "| kind | injected | undetected |",
        "|---|---:|---:|",
    ]
    for kind in parts[0]["kinds"]:
        counts = [sum(part["kinds"][kind][what] for part in parts) for what in ("injected", "undetected")]
        lines.append(f"| {kind} | {counts[0]:,} | {counts[1]} |")
    page = RESULTS / f"link_errors_{os.getpid()}.tmp"  # two workers may finish at once
    page.write_text("\n".join(lines) + "\n", encoding="utf-8")
    page.replace(RESULTS / "link_errors.md")
