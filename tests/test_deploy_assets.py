"""Files for the field are valid before they leave: machine profiles, system units, device rules."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from edge_runtime.config import load_settings
from edge_runtime.schemas import Machine

DEPLOY: Final = Path(__file__).parents[1] / "deploy"
UNIT: Final = DEPLOY / "systemd" / "sortloop-edge.service"
PROFILES: Final = sorted((DEPLOY / "machines").glob("*.toml"))
ANALYZE: Final = shutil.which("systemd-analyze")


def test_there_is_a_profile_for_each_product() -> None:
    assert [path.stem for path in PROFILES] == ["coffee", "plastic", "rice", "seed", "waste"]


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: str(path.stem))
def test_profile_is_a_machine_of_its_own_name(path: Path) -> None:
    assert load_settings(path, Machine).name == path.stem


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: str(path.stem))
def test_lanes_cover_the_view_once_in_order(path: Path) -> None:
    machine = load_settings(path, Machine)
    edges_mm = [machine.lanes[0].from_mm, *(lane.to_mm for lane in machine.lanes)]
    assert [lane.from_mm for lane in machine.lanes] == edges_mm[:-1]
    assert edges_mm == sorted(set(edges_mm))
    camera = machine.cameras[0]
    assert edges_mm[0] == 0.0
    assert edges_mm[-1] == pytest.approx(camera.width_px * camera.pixel_mm)
    assert [lane.valve for lane in machine.lanes] == list(range(len(machine.lanes)))


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: str(path.stem))
def test_longest_object_can_still_be_commanded_in_time(path: Path) -> None:
    """Its last line is seen while its first is already on the way; the command needs min_lead_ms on top."""
    machine = load_settings(path, Machine)
    camera = machine.cameras[0]
    longest_mm = camera.max_object_lines * camera.pixel_mm + machine.pulse_margin_mm
    flight_ms = (camera.to_valves_mm - longest_mm) / machine.belt_mm_s * 1000
    assert flight_ms > 5 * machine.min_lead_ms  # the rest is for block, vision and inference


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: str(path.stem))
def test_profile_says_that_it_is_no_measurement(path: Path) -> None:
    assert "A starting point, not a measurement" in path.read_text(encoding="utf-8")


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed on this computer")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    """With a program that exists everywhere: the product itself is not under /opt here."""
    text, count = re.subn(
        r"^ExecStart=\S+", "ExecStart=/bin/true", UNIT.read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    (tmp_path / UNIT.name).write_text(text, encoding="utf-8")
    command = [str(ANALYZE), "verify", "--man=no", str(tmp_path / UNIT.name)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    if "Failed to" in result.stderr and "manager" in result.stderr:
        pytest.skip(f"systemd-analyze cannot work here: {result.stderr.strip()}")
    assert (count, result.returncode, result.stderr) == (1, 0, "")


@pytest.mark.parametrize(
    "line",
    [
        "Type=notify",
        "NotifyAccess=main",
        "WatchdogSec=10",
        "KillMode=mixed",
        "LimitRTPRIO=99",
        "LimitMEMLOCK=infinity",
        "RuntimeDirectory=sortloop",
        "Restart=on-failure",
        "User=sortloop",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "CapabilityBoundingSet=",
        "DevicePolicy=closed",
        "StartLimitBurst=3",
        "ExecStart=/opt/sortloop/bin/sortloop-edge run --config /etc/sortloop/machine.toml",
    ],
)
def test_unit_keeps_its_promises(line: str) -> None:
    assert line in UNIT.read_text(encoding="utf-8").splitlines()


def test_units_account_is_made() -> None:
    text = (DEPLOY / "systemd" / "sortloop.sysusers.conf").read_text(encoding="utf-8")
    assert re.findall(r"^[um] .*$", text, re.MULTILINE) == [
        'u sortloop - "sortloop sorting machine" /var/lib/sortloop',
        "m sortloop dialout",
        "m sortloop video",
    ]


def test_every_device_rule_is_a_list_of_matches_and_assignments() -> None:
    text = (DEPLOY / "udev" / "60-sortloop.rules").read_text(encoding="utf-8")
    rules = [line for line in text.splitlines() if line and not line.startswith("#")]
    pair = r'[A-Z_]+(?:\{[^}]+\})?(?:==|!=|\+=|=)"[^"]*"'
    assert len(rules) == 2
    assert all(re.fullmatch(rf"{pair}(?:, {pair})*", rule) for rule in rules)


def test_profiles_name_the_link_that_the_device_rule_makes() -> None:
    rules = (DEPLOY / "udev" / "60-sortloop.rules").read_text(encoding="utf-8")
    assert 'SYMLINK+="sortloop/ejector ' in rules
    assert {load_settings(path, Machine).port for path in PROFILES} == {"/dev/sortloop/ejector"}
