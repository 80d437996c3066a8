"""The machine as a whole, processes and all: the decisions of replay, models changed while it sorts."""

import shutil
import signal
from pathlib import Path

import msgspec
import pytest
from bad_models import DECEITFUL, FORBIDDEN, neighbourly_onnx, with_model
from live_stage import Stage, adds_up, make_stage, wait_until

from edge_runtime.live.commands import Arm, Back, Disarm, Swap
from edge_runtime.live.frame_recording import RecordingReport
from edge_runtime.live.run_journal import LOST, list_runs
from edge_runtime.live_settings import LiveSettings
from edge_runtime.replay import replay, replay_report
from edge_runtime.setup import open_sorter
from edge_runtime.virtual_world_control import ask_world

LIMIT_S = 90.0
OBJECTS = 200


@pytest.fixture
def stage(tmp_path: Path, request: pytest.FixtureRequest) -> Stage:
    """One belt, one camera, slow enough for a computer that does other things as well."""
    live = LiveSettings(workers=request.param, priority=0, hang_s=30.0, metrics_port=0, ring_frames=256)
    return make_stage(tmp_path / "stage", live, to_valves_mm=900.0)


def replayed_digest(stage: Stage, recording: Path) -> str:
    setup = open_sorter(stage.folder / "model", machine=stage.machine_path)
    result = replay(recording, setup.sorter, setup.machine, as_blocks=True)
    names = setup.sorter.recipe.class_names
    return replay_report(result, names, model_id=setup.folder.card.model_id, seconds=0.0).decisions_sha256


@pytest.mark.parametrize("stage", [1, pytest.param(2, marks=pytest.mark.long)], indirect=True)
def test_a_run_decides_what_replay_of_its_recording_decides(stage: Stage) -> None:
    recording = stage.folder / "recording"
    with stage.world("--rate", 120, "--pieces", 20_000, "--start-s", 5), stage.run("--record", str(recording)):

        def has_passed() -> bool:
            report = stage.look()
            return report is not None and report.cameras[0].counts.objects >= OBJECTS

        assert wait_until(has_passed, LIMIT_S)
    report = stage.report()
    found = msgspec.json.decode((recording / "recording.json").read_bytes(), type=RecordingReport).cameras["view0"]

    assert adds_up(report)
    if report.cameras[0].counts.missing or found.lost:
        pytest.skip(f"this computer is too busy to sort every frame: {report.cameras[0].counts.missing}, {found.lost}")
    assert found.objects == report.cameras[0].counts.objects
    assert found.decisions_sha256 == replayed_digest(stage, recording / "view0")


@pytest.mark.long
@pytest.mark.parametrize("stage", [2], indirect=True)
def test_a_thousand_changes_of_the_model_lose_no_frame_and_bad_folders_are_refused(stage: Stage) -> None:
    bad = stage.folder / "bad"
    bad.mkdir()
    for path in (stage.folder / "model").iterdir():
        (bad / path.name).write_bytes(path.read_bytes())
    (bad / "model.onnx").write_bytes((stage.folder / "other_model" / "model.onnx").read_bytes())
    with stage.world("--rate", 200, "--pieces", 100_000, "--priority", 80), stage.run("--armed"):
        assert stage.wait_for_sorting(LIMIT_S)
        assert stage.ask(Swap(str(bad))).outcome == "refused"
        assert stage.ask(Swap(str(stage.folder / "other_model"))).outcome == "begun"

        def is_swapped() -> bool:
            report = stage.look()
            return report is not None and report.swaps == 1

        assert wait_until(is_swapped, LIMIT_S)
        for _ in range(999):
            assert stage.ask(Back()).outcome == "done"
    report, outcome = stage.report(), stage.outcome()

    assert report.swaps == 1000
    assert adds_up(report)
    lost = {name: count for name, count in report.cameras[0].counts.missing.items() if name != "late"}
    assert lost == {}
    assert (outcome.fired_twice, outcome.fired_late) == (0, 0)


@pytest.mark.long
@pytest.mark.parametrize("stage", [1], indirect=True)
def test_a_supervisor_that_is_killed_leaves_a_safe_machine_and_the_next_run_says_so(stage: Stage) -> None:
    with stage.world("--rate", 120, "--pieces", 20_000, "--priority", 80):
        with stage.run("--armed") as supervisor:
            assert stage.wait_for_sorting(LIMIT_S)
            pids = [one.pid for one in stage.must_look().processes]
            supervisor.kill()
            supervisor.wait(LIMIT_S)
            assert wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), LIMIT_S)
        with stage.run():
            assert wait_until(lambda: stage.look() is not None, LIMIT_S)
    newest, lost = list_runs(stage.folder / "state" / "runs").runs
    states = [change.state for change in stage.outcome().states]
    feeder = [change.permille for change in stage.outcome().feeder]

    assert (newest.end, lost.end) == ("stopped", LOST)
    assert b'"objects":' in bytes(lost.books)
    armed = states.index("ARMED")
    assert states[armed + 1] in {"SAFE", "IDLE"}  # by the bridge's farewell, or by the controller's own watchdog
    assert "ARMED" not in states[armed + 1 :]
    assert feeder[-1] == 0


@pytest.mark.long
@pytest.mark.parametrize("stage", [1], indirect=True)
def test_a_controller_that_was_lost_stays_safe_until_it_is_armed_on_command(stage: Stage) -> None:
    with stage.world("--rate", 120, "--pieces", 20_000, "--priority", 80), stage.run("--armed"):
        assert stage.wait_for_sorting(LIMIT_S)
        ask_world(stage.folder / "world", "power_cut")
        assert wait_until(lambda: stage.must_look().trouble != "", LIMIT_S)
        assert not stage.must_look().is_armed
        unsorted = stage.must_look().cameras[0].counts.ends.get("unsorted", 0)
        assert wait_until(lambda: stage.must_look().cameras[0].counts.ends.get("unsorted", 0) > unsorted + 5, LIMIT_S)
        assert not stage.must_look().is_armed  # it is back by now, and nobody has said that it shall fire

        assert stage.ask(Arm()).outcome == "begun"
        assert wait_until(lambda: stage.must_look().is_armed, LIMIT_S)
        assert stage.must_look().trouble == ""
    outcome = stage.outcome()

    assert adds_up(stage.report())
    assert (outcome.boots, outcome.fired_twice, outcome.fired_late) == (1, 0, 0)


@pytest.mark.long
@pytest.mark.parametrize("stage", [1], indirect=True)
def test_every_bad_model_folder_is_refused_while_sorting_goes_on(stage: Stage) -> None:
    with stage.world("--rate", 120, "--pieces", 200_000, "--priority", 80), stage.run("--armed"):
        assert stage.wait_for_sorting(LIMIT_S)
        before = stage.must_look()
        refused = 0
        for name, (make, _) in {**FORBIDDEN, **DECEITFUL, "neighbourly": (neighbourly_onnx, "")}.items():
            folder = with_model(stage.folder / "model", stage.folder / name.replace(" ", "_"), make())
            decided = stage.must_look().cameras[0].counts.processed
            reply = stage.ask(Swap(str(folder)))
            assert wait_until(lambda: not stage.must_look().told.endswith("is being tried"), LIMIT_S)
            refused += reply.outcome == "refused" or stage.must_look().told.startswith("refused")
            assert stage.must_look().cameras[0].counts.processed > decided, name
        after = stage.must_look()

    assert refused == len(FORBIDDEN) + len(DECEITFUL) + 1
    assert (after.swaps, after.model_id) == (0, before.model_id)
    assert adds_up(stage.report())


def wear_out(stage: Stage, place: str, message: str) -> None:
    """Kill the process of a place until a message about it stands in the log."""

    def is_worn_out() -> bool:
        stage.kill(place)
        return message in (stage.folder / "run.log").read_text(encoding="utf-8")

    assert wait_until(is_worn_out, LIMIT_S, step_s=0.3)


@pytest.mark.long
@pytest.mark.parametrize("stage", [1], indirect=True)
def test_a_warm_model_that_crashes_stops_nobody_and_one_that_sorts_stops_the_machine(stage: Stage) -> None:
    with stage.world("--rate", 120, "--pieces", 200_000, "--priority", 80), stage.run("--armed") as supervisor:
        assert stage.wait_for_sorting(LIMIT_S)
        assert stage.ask(Swap(str(stage.folder / "other_model"))).outcome == "begun"
        assert wait_until(lambda: stage.must_look().swaps == 1, LIMIT_S)
        wear_out(stage, "vision-a0", "vision-a0 ended 5 times")
        report = stage.must_look()
        assert (report.is_armed, report.trouble) == (True, "")
        assert stage.ask(Back()).outcome == "refused"

        wear_out(stage, "vision-b0", "vision-b0 ended 5 times")
        assert wait_until(lambda: not stage.must_look().is_armed, LIMIT_S)
        assert stage.ask(Arm()).outcome == "begun"  # takes back what was given up
        assert wait_until(lambda: stage.must_look().is_armed, LIMIT_S)
        assert stage.must_look().trouble == ""

        wear_out(stage, "bridge", "bridge ended 5 times")
        report = stage.must_look()
        assert (report.is_armed, report.feeder_permille) == (False, 0)
        supervisor.send_signal(signal.SIGTERM)
        assert supervisor.wait(LIMIT_S) == 7
    assert adds_up(stage.report())


@pytest.mark.long
@pytest.mark.parametrize("stage", [1], indirect=True)
def test_a_folder_that_holds_another_model_by_now_is_not_sorted_with(stage: Stage) -> None:
    with stage.world("--rate", 120, "--pieces", 200_000, "--priority", 80), stage.run("--armed"):
        assert stage.wait_for_sorting(LIMIT_S)
        model_id = stage.must_look().model_id
        for path in (stage.folder / "other_model").iterdir():
            shutil.copy(path, stage.folder / "model")
        stage.kill("vision-a0")
        assert wait_until(lambda: "holds model" in stage.must_look().trouble, LIMIT_S)
        assert stage.must_look().model_id == model_id
        assert wait_until(lambda: not stage.must_look().is_armed, LIMIT_S)

        assert stage.ask(Swap(str(stage.folder / "model"))).outcome == "begun"
        assert wait_until(lambda: stage.must_look().swaps == 1, LIMIT_S)
        assert stage.ask(Arm()).outcome == "begun"
        assert wait_until(lambda: stage.must_look().is_armed, LIMIT_S)


@pytest.mark.long
@pytest.mark.parametrize("stage", [1], indirect=True)
def test_in_a_teach_lot_the_valves_stay_shut_whatever_is_commanded(stage: Stage) -> None:
    with stage.world("--rate", 120, "--pieces", 20_000, "--priority", 80), stage.run("--armed", "--teach", "good"):
        assert wait_until(lambda: (look := stage.look()) is not None and look.feeder_permille == 1000, LIMIT_S)
        assert stage.ask(Disarm()).outcome == "done"
        assert wait_until(lambda: stage.must_look().feeder_permille == 0, LIMIT_S)
        assert stage.ask(Arm(feeder_permille=700)).outcome == "begun"
        assert wait_until(lambda: stage.must_look().feeder_permille == 700, LIMIT_S)
    outcome = stage.outcome()

    assert "ARMED" not in [change.state for change in outcome.states]
    assert outcome.pulses == 0
