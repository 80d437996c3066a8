"""The machine's command line: one JSON object a command, the documented exit codes, nothing heavy before it works."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TypeVar

import click
import cv2
import msgspec
import pytest
from tiny_model import draw_pieces

from edge_runtime.cli import cli
from edge_runtime.config import to_toml
from edge_runtime.inline import desk_machine
from edge_runtime.receipt import Receipt, write_receipt
from edge_runtime.recipe_wizard import RecipeReport
from edge_runtime.reports import (
    CheckReport,
    DecisionRow,
    DeliveredReport,
    ReplayReport,
    SpoolReport,
    TeachReport,
)
from edge_runtime.residual_export import ExportReport, read_export
from edge_runtime.stage_times import STAGES
from edge_runtime.tuned_record import TunedRecord
from edge_runtime.virtual_run import VirtualReport
from firmware_bridge.command_line import run_command_line

ROOT = Path(__file__).parents[1]
Out = tuple[int, str, str]
Report = TypeVar("Report", bound=msgspec.Struct)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    folder = tmp_path / "recording"
    folder.mkdir()
    for number in range(3):
        cv2.imwrite(str(folder / f"{number}.png"), draw_pieces(["good"] * 6 + ["stone"] * 2, seed=number))
    return folder


class Program:
    """Runs commands in this process."""

    def __init__(self, captured: pytest.CaptureFixture[str]) -> None:
        self._captured = captured

    def __call__(self, *arguments: object) -> Out:
        """Return the exit code, and what was written to stdout and stderr."""
        with pytest.raises(SystemExit) as leaving:
            run_command_line(cli, [str(argument) for argument in arguments])
        captured = self._captured.readouterr()
        assert isinstance(leaving.value.code, int)
        return leaving.value.code, captured.out, captured.err


@pytest.fixture
def program(capsys: pytest.CaptureFixture[str]) -> Program:
    return Program(capsys)


def decode(out: Out, kind: type[Report]) -> Report:
    code, stdout, stderr = out
    assert (code, stderr) == (0, "")
    return msgspec.json.decode(stdout, type=kind)


def test_replay_twice_decides_the_same(program: Program, recording: Path, tiny_model_folder: Path) -> None:
    arguments = ("replay", recording, "--model", tiny_model_folder, "--json")
    first, second = decode(program(*arguments), ReplayReport), decode(program(*arguments), ReplayReport)
    assert first.decisions_sha256 == second.decisions_sha256
    assert first.classes == {"good": 18, "stone": 6, "husk": 0}
    assert first.ejected == 6


def test_replay_writes_the_decision_log_it_counted(
    program: Program, recording: Path, tiny_model_folder: Path, tmp_path: Path
) -> None:
    log = tmp_path / "decisions.jsonl"
    out = program("replay", recording, "--model", tiny_model_folder, "--decisions", log, "--json")
    rows = [msgspec.json.decode(line, type=DecisionRow) for line in log.read_bytes().splitlines()]
    assert len(rows) == decode(out, ReplayReport).objects
    assert [row.class_name for row in rows].count("stone") == 6


def test_replay_takes_settings_machine_and_blocks(
    program: Program, recording: Path, tiny_model_folder: Path, tmp_path: Path
) -> None:
    machine = tmp_path / "machine.toml"
    machine.write_text(to_toml(desk_machine(320)))
    base = ("replay", recording, "--model", tiny_model_folder, "--machine", machine, "--json")
    assert decode(program(*base, "--blocks"), ReplayReport).objects == 24
    assert decode(program(*base, "--set", "segment.threshold=255"), ReplayReport).objects == 0


def test_replay_shows_what_it_saw_and_decides_as_without(
    program: Program, recording: Path, tiny_model_folder: Path, tmp_path: Path
) -> None:
    base = ("replay", recording, "--model", tiny_model_folder, "--json")
    plain = decode(program(*base), ReplayReport)
    sheet, overlay = tmp_path / "sheet.html", tmp_path / "overlay"
    shown = decode(program(*base, "--sheet", sheet, "--overlay", overlay, "--language", "zh-CN"), ReplayReport)
    assert shown.decisions_sha256 == plain.decisions_sha256
    assert [time.stage for time in shown.stages] == list(STAGES)
    assert sum(time.share for time in shown.stages) == pytest.approx(1)
    assert '<html lang="zh-CN">' in sheet.read_text(encoding="utf-8")
    assert len(list(overlay.iterdir())) == 3


def test_names_that_are_not_utf_8_cost_no_page(
    program: Program, recording: Path, tiny_model_folder: Path, tmp_path: Path
) -> None:
    source = recording.rename(tmp_path / os.fsdecode(b"\xc1\xa3"))
    (source / "0.png").rename(source / os.fsdecode(b"\xd6\xd0.png"))
    (source / os.fsdecode(b"\xd6\xd1.png")).write_bytes(b"")
    for command in (("replay", source, "--model", tiny_model_folder), ("recipe", source)):
        sheet = tmp_path / f"{command[0]}.html"
        for more in ((), ("--json",)):
            code, _, stderr = program(*command, "--sheet", sheet, *more)
            assert (code, stderr) == (0, "")
        assert "\\xd6\\xd0.png" in sheet.read_text(encoding="utf-8")


def test_recipe_is_proposed_printed_written_and_accepted_by_check(
    program: Program, recording: Path, tmp_path: Path
) -> None:
    out, sheet = tmp_path / "recipe.toml", tmp_path / "recipe.html"
    base = ("recipe", recording, "--classes", "good,stone,husk", "--name", "colours")
    code, stdout, stderr = program(*base, "--out", out, "--sheet", sheet)
    assert (code, stderr) == (0, "")
    assert stdout == out.read_text(encoding="utf-8")
    assert "<html" in sheet.read_text(encoding="utf-8")
    report = decode(program(*base, "--json"), RecipeReport)
    assert (report.objects, report.recipe) == (24, stdout)
    checked = decode(program("check", "--recipe", out, "--json"), CheckReport)
    assert "classes good, stone, husk" in checked.files[str(out)]


def test_teach_records_mistakes_that_export_and_receipt_set_free(
    program: Program, recording: Path, tiny_model_folder: Path, tmp_path: Path
) -> None:
    spool, export, receipt = tmp_path / "spool", tmp_path / "out.slrx", tmp_path / "out.receipt.json"
    lot = ("teach", recording, "--class", "stone", "--model", tiny_model_folder, "--spool", spool, "--json")
    report = decode(program(*lot, "--set", "residual.audit_rate=0.0"), TeachReport)
    assert (report.objects, report.wrong, report.accepted) == (24, 18, 18)

    listed = decode(program("residual", "list", spool, "--json"), SpoolReport)
    assert (listed.sources, listed.labels, listed.failures) == ({"T0": 18}, {"stone": 18}, {"misclassified": 18})

    exported = decode(program("residual", "export", spool, "--out", export, "--json"), ExportReport)
    ids = tuple(record.id for record in read_export(export).records)
    assert exported.ids == ids
    assert len(set(ids)) == 18

    write_receipt(receipt, Receipt("rice.pool", ids))
    delivered = ("residual", "delivered", spool, receipt, "--json")
    assert decode(program(*delivered), DeliveredReport) == DeliveredReport(18, 18)
    assert decode(program("residual", "list", spool, "--json"), SpoolReport).sources == {}


def test_teach_lot_repeated_is_recorded_once(
    program: Program, recording: Path, tiny_model_folder: Path, tmp_path: Path
) -> None:
    lot = ("teach", recording, "--class", "stone", "--model", tiny_model_folder, "--spool", tmp_path / "s", "--json")
    first, second = decode(program(*lot), TeachReport), decode(program(*lot), TeachReport)
    assert first.accepted >= 18
    assert (second.wrong, second.accepted) == (first.wrong, 0)
    assert second.recorded.passed_over["repeated"] == first.accepted


def test_teach_logs_every_accepted_id(
    program: Program, recording: Path, tiny_model_folder: Path, tmp_path: Path
) -> None:
    (recording / "9.png").write_bytes(b"")
    spool = tmp_path / "spool"
    code, _, stderr = program(
        "teach", recording, "--class", "stone", "--model", tiny_model_folder, "--spool", spool, "-v"
    )
    logs = [json.loads(line) for line in stderr.splitlines()]
    ids = [record_id for log in logs if log["event"] == "residual.accepted" for record_id in log["ids"]]
    program("residual", "export", spool, "--out", tmp_path / "out.slrx")
    assert code == 0
    assert sorted(ids) == sorted(record.id for record in read_export(tmp_path / "out.slrx").records)
    missing = [log for log in logs if log["event"] == "teach.picture_missing"]
    assert [(log["level"], log["name"], log["reason"]) for log in missing] == [("warning", "9.png", "empty file")]


def test_tune_prints_what_it_wrote_and_replay_runs_it(
    program: Program, recording: Path, tiny_model_folder: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_model_folder, tmp_path / "model"))
    record = decode(program("tune", "--model", folder, "--json"), TunedRecord)
    assert msgspec.json.decode((tmp_path / "model.tuned.json").read_bytes(), type=TunedRecord) == record
    report = decode(program("replay", recording, "--model", folder, "--json"), ReplayReport)
    assert (report.variant, report.provider) == (record.form.variant, record.form.provider)
    (tmp_path / "model.tuned.json").write_text("torn")
    code, _, stderr = program("replay", recording, "--model", folder)
    assert (code, "tuned.ignored" in stderr, "it is damaged" in stderr) == (0, True, True)


def test_check_proves_a_model_folder(program: Program, tiny_model_folder: Path) -> None:
    report = decode(program("check", "--model", tiny_model_folder, "--json"), CheckReport)
    assert "11 golden crops" in report.files[str(tiny_model_folder)]


def test_people_get_text(program: Program, recording: Path, tiny_model_folder: Path, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    base = ("--model", tiny_model_folder)
    assert "3 frames, 24 objects" in program("replay", recording, *base)[1]
    assert (
        "lot of stone: 24 objects, 18 decided as"
        in program("teach", recording, "--class", "stone", *base, "--spool", spool)[1]
    )
    listed = program("residual", "list", spool)[1]
    assert "class: stone" in listed
    assert "teach, T0, stone: " in listed
    assert "records, " in program("residual", "export", spool, "--out", tmp_path / "out.slrx")[1]
    assert "golden crops" in program("check", *base)[1]


def test_simulation_needs_a_model_of_its_grains(program: Program, tiny_model_folder: Path) -> None:
    code, _, stderr = program("simulate", "--model", tiny_model_folder, "--pieces", "5")
    assert code == 3
    assert "which the model does not know" in stderr


def test_simulation_runs_on_class_folders_of_crops(program: Program, tiny_model_folder: Path, tmp_path: Path) -> None:
    for name in ("good", "stone", "husk"):
        (tmp_path / "grains" / name).mkdir(parents=True)
        for number in range(3):
            frame = draw_pieces([name], width_px=40, seed=number)
            cv2.imwrite(str(tmp_path / "grains" / name / f"{number}.png"), frame)
    grains, spool = tmp_path / "grains", tmp_path / "spool"
    arguments = (
        "simulate",
        "--model",
        tiny_model_folder,
        "--grains",
        grains,
        "--spool",
        spool,
        "--pieces",
        40,
        "--json",
    )
    report = decode(program(*arguments), VirtualReport)
    assert report.sort.pieces == 40
    assert report.recorded is not None
    assert report.recorded.seen == report.objects


def damage_model(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"")


def damage_recipe(folder: Path) -> None:
    (folder / "recipe.toml").write_text("threshold = 3\n")


def damage_golden(folder: Path) -> None:
    (folder / "golden.npz").unlink()


@pytest.mark.parametrize(
    ("damage", "code", "told"),
    [
        (damage_model, 5, "Export the model again"),
        (damage_golden, 5, "golden.npz"),
        (damage_recipe, 3, "line 1: unknown key threshold; did you mean segment.threshold?"),
    ],
)
def test_bad_model_folder_has_its_exit_code(  # noqa: PLR0917 - fixtures and parameters
    damage: object, code: int, told: str, program: Program, recording: Path, tiny_model_folder: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_model_folder, tmp_path / "model"))
    assert callable(damage)
    damage(folder)
    found, stdout, stderr = program("replay", recording, "--model", folder)
    assert (found, stdout) == (code, "")
    assert told in stderr


def test_other_faults_have_their_exit_codes(
    program: Program, recording: Path, tiny_model_folder: Path, tmp_path: Path
) -> None:
    model, spool = ("--model", tiny_model_folder), ("--spool", tmp_path / "spool")
    (tmp_path / "empty").mkdir()
    expected = [
        (2, ("replay", recording)),
        (2, ("replay", tmp_path / "nowhere", *model)),
        (2, ("replay", recording, *model, "--blocks", "--truth", tiny_model_folder / "card.json")),
        (3, ("replay", recording, *model, "--blocks", "--set", "segment.mask=full")),
        (2, ("replay", recording, *model, "--blocks", "--sheet", tmp_path / "sheet.html")),
        (2, ("replay", recording, *model, "--blocks", "--overlay", tmp_path / "overlay")),
        (2, ("replay", recording, *model, "--sheet", recording / "0.png")),
        (2, ("replay", recording / "0.png", *model, "--sheet", recording / "0.png")),
        (2, ("replay", recording, *model, "--decisions", recording / "log")),
        (2, ("replay", recording, *model, "--overlay", recording / "overlay")),
        (2, ("recipe", recording, "--out", recording / "recipe.toml")),
        (2, ("recipe", recording / "0.png", "--sheet", recording / "0.png")),
        (2, ("recipe", recording, "--name", "\udcd6")),
        (3, ("recipe", recording, "--classes", "good,good")),
        (5, ("recipe", tmp_path / "empty")),
        (5, ("recipe", recording, "--out", tmp_path / "no" / "recipe.toml")),
        (5, ("replay", recording, *model, "--sheet", tmp_path / "no" / "sheet.html")),
        (5, ("replay", recording, *model, "--overlay", tmp_path / "no" / "overlay.avi")),
        (2, ("check",)),
        (2, ("teach", recording, *model, *spool)),
        (2, ("teach", recording, "--class", "stone", "--purity", "1.5", *model, *spool)),
        (3, ("teach", recording, "--class", "rice", *model, *spool)),
        (3, ("replay", recording, *model, "--set", "segment.threshold=256")),
        (3, ("replay", recording, *model, "--set", "threshold")),
        (3, ("check", "--machine", tiny_model_folder / "recipe.toml")),
        (5, ("replay", tmp_path / "empty", *model)),
        (5, ("replay", tiny_model_folder / "card.json", *model)),
        (5, ("replay", recording, *model, "--truth", tiny_model_folder / "card.json")),
        (5, ("replay", recording, *model, "--decisions", tmp_path / "no" / "log")),
        (2, ("residual", "purge", tmp_path / "empty", "--yes")),
        (2, ("residual", "purge", tmp_path / "empty", "--older", "-1", "--yes")),
        (2, ("residual", "show", tmp_path / "empty", "--failure", "all")),
        (5, ("residual", "delivered", tmp_path / "empty", tiny_model_folder / "card.json")),
    ]
    assert [(program(*arguments)[0], arguments) for _, arguments in expected] == expected


def commands_of(group: click.Command, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    found = [(path, group)]
    if isinstance(group, click.Group):
        for name, command in group.commands.items():
            found += commands_of(command, (*path, name))
    return found


@pytest.mark.parametrize("path", [path for path, _ in commands_of(cli)], ids=" ".join)
def test_help_of_every_command_has_an_example(path: tuple[str, ...], program: Program) -> None:
    code, stdout, _ = program(*path, "--help")
    assert code == 0
    assert " ".join(("Example: sortloop-edge", *path)) in " ".join(stdout.split())


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("edge_runtime.cli", {"numpy", "cv2", "onnxruntime", "structlog"}),
        ("trainer.cli", {"torch", "onnx", "numpy", "cv2", "onnxruntime", "lightning_fabric"}),
    ],
)
def test_command_line_imports_nothing_heavy_before_it_works(module: str, heavy: set[str]) -> None:
    code = f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    assert heavy & set(json.loads(done.stdout)) == set()
