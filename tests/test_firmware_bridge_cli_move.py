"""`fire` and `selftest`: nothing moves without --armed, every refusal has its reason, every valve its verdict."""

import json

import pytest
from cli_runs import RestartsOnce, board_on_pty, run

from firmware_bridge.board import BoardSettings
from firmware_bridge.messages import BoardState
from firmware_bridge.virtual_board import VirtualBoard


@pytest.mark.parametrize(
    "arguments", [["fire", "--valve", "3"], ["selftest"], ["selftest", "--mode", "measure"]], ids=str
)
def test_without_armed_the_port_is_not_even_opened(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    code, out, err = run(capsys, *arguments, "--port", "/dev/not-there")
    assert (code, out) == (2, "")
    assert "add --armed" in err


# ----- fire


def test_fire_opens_the_valves_once(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "fire", "--port", "virtual", "--valve", "3", "--count", "2", "--armed")
    assert (code, out) == (0, "valves 3..4, 1000 us: fired\n")


def test_fire_that_is_refused_is_a_no_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "fire", "--port", "virtual", "--valve", "300", "--armed", "--json")
    assert code == 1
    assert json.loads(out)["reason"] == "BAD_VALVE"
    code, out, _ = run(capsys, "fire", "--port", "virtual", "--valve", "300", "--armed")
    assert code == 1
    assert "valve 300, 1000 us: did not fire, BAD_VALVE\n  The valve does not exist" in out


def test_a_pulse_beyond_the_limit_fires_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "fire", "--port", "virtual", "--valve", "3", "--pulse-us", "30000", "--armed")
    assert code == 0
    assert "fired, PULSE_CLAMPED" in out


def test_a_session_that_dies_midway_is_the_links_error_and_not_the_callers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with board_on_pty(RestartsOnce(lambda board, _: board.state is BoardState.ARMED)) as path:
        code, out, err = run(capsys, "fire", "--port", path, "--valve", "1", "--armed")
    assert (code, out) == (4, "")
    assert "session ended: controller restarted: boot 1 is now 2" in err
    assert "disarm without a session" not in err


# ----- self-test

BAD = BoardSettings(n_valves=24, readings={3: (0, 0), 7: (900, 900), 11: (180, 5000), 12: (180, 0)})


def test_every_valve_gets_its_verdict_when_it_is_fired(capsys: pytest.CaptureFixture[str]) -> None:
    with board_on_pty(VirtualBoard(BAD)) as path:
        code, out, _ = run(capsys, "selftest", "--port", path, "--mode", "fire", "--armed", "--json")
    report = json.loads(out)
    wrong = {valve["valve"]: valve["verdict"] for valve in report["valves"] if valve["verdict"] != "ok"}
    assert code == 1
    assert [valve["valve"] for valve in report["valves"]] == list(range(24))
    assert wrong == {3: "no_coil", 7: "short", 11: "slow", 12: "stuck"}
    assert report["ok_count"] == 20


def test_the_text_names_the_valves_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    with board_on_pty(VirtualBoard(BAD)) as path:
        code, out, _ = run(capsys, "selftest", "--port", path, "--mode", "fire", "--armed")
    assert code == 1
    assert "NO_COIL  valves 3\n  No current flows through the coil." in out
    assert "valve 11: coil 180 mA, opens after 5000 us" in out
    assert out.endswith("24 valves tried (fire, 5000 us): 20 ok, 4 not ok\n")


def test_the_text_comes_in_chinese(capsys: pytest.CaptureFixture[str]) -> None:
    with board_on_pty(VirtualBoard(BAD)) as path:
        _, out, _ = run(capsys, "selftest", "--port", path, "--armed", "--lang", "zh-CN")
    assert "线圈中没有电流" in out
    assert "The valve" not in out


def test_measuring_judges_the_coils_only(capsys: pytest.CaptureFixture[str]) -> None:
    with board_on_pty(VirtualBoard(BAD)) as path:
        code, out, _ = run(capsys, "selftest", "--port", path, "--armed", "--json")
    wrong = {valve["valve"] for valve in json.loads(out)["valves"] if valve["verdict"] != "ok"}
    assert code == 1
    assert wrong == {3, 7}


def test_the_limits_are_the_callers(capsys: pytest.CaptureFixture[str]) -> None:
    limits = ("--coil-low-ma", "0", "--coil-high-ma", "1000", "--open-max-us", "6000")
    with board_on_pty(VirtualBoard(BAD)) as path:
        code, out, _ = run(
            capsys, "selftest", "--port", path, "--mode", "fire", "--last", "11", "--armed", "--json", *limits
        )
    verdicts = {valve["valve"]: valve["verdict"] for valve in json.loads(out)["valves"]}
    assert code == 1
    assert (verdicts[3], verdicts[7], verdicts[11]) == ("stuck", "ok", "ok")


def test_only_the_valves_asked_for_are_tried(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "selftest", "--port", "virtual", "--first", "5", "--last", "6", "--armed", "--json")
    assert code == 0
    assert [valve["valve"] for valve in json.loads(out)["valves"]] == [5, 6]


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--last", "256"], 4, "valve 256 is beyond its last, 255"),
        (["--mode", "fire", "--pulse-us", "20001"], 4, "a pulse of 20001 us > its limit 20000 us"),
        (["--first", "256"], 2, "beyond the controller's last valve 255"),
        (["--first", "4", "--last", "3"], 2, "--first 4 > --last 3"),
        (["--coil-low-ma", "500"], 2, "--coil-low-ma 500 > --coil-high-ma 420"),
    ],
    ids=str,
)
def test_a_refusal_says_why(capsys: pytest.CaptureFixture[str], options: list[str], code: int, words: str) -> None:
    result, out, err = run(capsys, "selftest", "--port", "virtual", "--armed", *options)
    assert (result, out) == (code, "")
    assert words in err


def test_a_controller_that_dies_midway_is_the_links_error(capsys: pytest.CaptureFixture[str]) -> None:
    with board_on_pty(RestartsOnce(lambda _, outputs: outputs >= 10)) as path:
        code, out, err = run(capsys, "selftest", "--port", path, "--armed")
    assert (code, out) == (4, "")
    assert "session ended: controller restarted" in err
