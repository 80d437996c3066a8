"""The kind of processor, from what the system tells of it."""

import platform

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.processor import kind_of, processor_flags, processor_kind, sums_may_overflow

X86 = (
    "processor\t: 0\nmodel name\t: Some: Name\nflags\t\t: fpu avx2 avx512_vnni\n\nprocessor\t: 1\nflags\t\t: fpu avx2\n"
)
ARM = "processor\t: 0\nFeatures\t: fp asimd asimddp i8mm\nCPU part\t: 0xd4d\n"


@pytest.mark.parametrize(
    ("machine", "flags", "kind", "may_overflow"),
    [
        ("x86_64", {"avx2", "avx512_vnni"}, "x86_64-vnni", False),
        ("x86_64", {"avx2", "avx_vnni"}, "x86_64-vnni", False),
        ("x86_64", {"avx2", "fma"}, "x86_64-avx2", True),
        ("x86_64", {"sse4_1"}, "x86_64", True),
        ("AMD64", set(), "AMD64", True),
        ("aarch64", {"asimd", "asimddp", "i8mm"}, "aarch64-i8mm", False),
        ("aarch64", {"asimd", "asimddp"}, "aarch64-dotprod", False),
        ("aarch64", {"asimd"}, "aarch64", False),
    ],
)
def test_kind_and_whether_sums_may_overflow(machine: str, flags: set[str], kind: str, may_overflow: bool) -> None:
    assert kind_of(machine, frozenset(flags)) == kind
    assert sums_may_overflow(kind) == may_overflow


def test_only_what_every_core_can_counts() -> None:
    assert processor_flags(X86) == {"fpu", "avx2"}
    assert processor_flags(ARM) == {"fp", "asimd", "asimddp", "i8mm"}


@given(st.text())
def test_any_text_gives_flags_or_none(text: str) -> None:
    assert all(flag and " " not in flag for flag in processor_flags(text))


def test_this_computer_has_a_kind() -> None:
    assert processor_kind().startswith(platform.machine())
