"""sortloop-train from a shell's view: help, exit codes, JSON that decodes, and a quick start."""

import io
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from edge_runtime.grains import LAB, write_class_folders
from edge_runtime.norm import NormSpec, norm_q16, norm_sums
from edge_runtime.receipt import read_receipt
from edge_runtime.residual import ResidualHeader, Truth, make_record
from edge_runtime.residual_export import encode_export
from edge_runtime.truth import NormStatistics
from firmware_bridge.command_line import run_command_line
from trainer.acquire.import_report import ImportReport
from trainer.acquire.intake import IntakeReport
from trainer.cli import cli
from trainer.demo.synthetic import SyntheticSamples, make_synthetic_pool, synthetic_crop, synthetic_sample
from trainer.judge.evaluate import EvaluateReport
from trainer.loop.run_record import RunReport
from trainer.pool.pool import Pool
from trainer.pool.samples import PoolReport

TINY = ["fit.network=small", "fit.steps=8", "fit.final_steps=10", "fit.batch=16", "stop.rounds=2", "m=5"]
CONTRACT_RUN = {"rounds", "pool_samples", "training_samples", "stop_reason", "best_round", "seconds"}
CONTRACT_ROUND = {"training_samples", "residual", "macro_f1", "worst_class_recall", "seconds"}
CONTRACT_EVALUATE = {"macro_f1", "accuracy", "worst_class_recall", "per_class_recall", "samples"}


def call(arguments: Sequence[str | Path], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Run as a shell would; return exit code, stdout and stderr."""
    with pytest.raises(SystemExit) as left:
        run_command_line(cli, [str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return int(left.value.code or 0), captured.out, captured.err


def tiny_run(pool: Path, out: Path, *more: str | Path) -> list[str | Path]:
    settings = [part for text in TINY for part in ("--set", text)]
    return ["run", "--pool", pool, "--out", out, *settings, *more]


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rendered grains, a pool of them and a finished run, made by the commands themselves."""
    folder = tmp_path_factory.mktemp("factory")
    write_class_folders(folder / "train", {"sound": 40, "stone": 40}, LAB, 0)
    write_class_folders(folder / "unseen", {"sound": 8, "stone": 8}, LAB, 1).unlink()  # without the manifest's sides
    runner = CliRunner()
    steps: list[list[str | Path]] = [
        ["import", folder / "train", "--pool", folder / "p.pool", "-q"],
        tiny_run(folder / "p.pool", folder / "run", "-q"),
    ]
    for arguments in steps:
        done = runner.invoke(cli, [str(argument) for argument in arguments], catch_exceptions=False)
        assert done.exit_code == 0, done.output
    return folder


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    make_synthetic_pool(tmp_path / "p.pool", SyntheticSamples(counts={"train": 20, "validation": 20}))
    return tmp_path / "p.pool"


def commands(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for name, command in group.commands.items():
        found.append((*path, name))
        if isinstance(command, click.Group):
            found += commands(command, (*path, name))
    return found


@pytest.mark.parametrize("path", [(), *commands(cli)], ids=lambda path: " ".join(path) or "group")
def test_every_command_helps_with_an_example(path: tuple[str, ...]) -> None:
    done = CliRunner().invoke(cli, [*path, "--help"])
    assert done.exit_code == 0
    assert f"Example: sortloop-train {' '.join(path)}".strip() in " ".join(done.output.split())


def test_start_imports_nothing_heavy() -> None:
    heavy = ("torch", "cv2", "onnxruntime", "onnx", "rich", "jinja2")
    script = f"import sys, trainer.cli; print(*[name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == ""


def test_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(["--version"], capsys)
    assert code == 0
    assert out.startswith("sortloop-train, version ")


def test_run_as_json_says_what_its_contract_names(factory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(tiny_run(factory / "p.pool", factory / "run", "--json"), capsys)
    report = msgspec.json.decode(out, type=RunReport)
    keys = msgspec.json.decode(out)
    assert code == 0
    assert set(keys) >= CONTRACT_RUN
    assert all(set(one) >= CONTRACT_ROUND for one in keys["rounds"])
    assert report.schema_version == 1
    assert len(report.rounds) == 2
    assert 0 < report.training_samples <= report.pool_samples
    assert report.seconds > 0
    assert all(one.seconds > 0 for one in report.rounds)
    assert Path(report.model) == factory / "run" / "model"
    assert (factory / "run" / "report.html").is_file()


def test_evaluate_as_json_says_what_its_contract_names(factory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = factory / "run" / "model"
    code, out, _ = call(["evaluate", model, "--data", factory / "unseen", "--json"], capsys)
    report = msgspec.json.decode(out, type=EvaluateReport)
    assert code == 0
    assert set(msgspec.json.decode(out)) >= CONTRACT_EVALUATE
    assert (report.samples, set(report.per_class_recall)) == (16, {"sound", "stone"})


def test_people_get_tables(factory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(tiny_run(factory / "p.pool", factory / "run", "-q"), capsys)
    assert (code, "macro-F1" in out, "ships:" in out) == (0, True, True)
    code, out, _ = call(["evaluate", factory / "run" / "model", "--data", factory / "unseen", "-q"], capsys)
    assert (code, "recall" in out) == (0, True)
    code, out, _ = call(["pool", "show", factory / "p.pool"], capsys)
    assert (code, "digest" in out, "stone" in out) == (0, True, True)


def test_import_and_pool_as_json(tmp_path: Path, factory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with tarfile.open(tmp_path / "set.tar", "w") as tar:
        tar.add(factory / "unseen", arcname="set")
    code, out, _ = call(["import", tmp_path / "set.tar", "--pool", tmp_path / "p.pool", "--json"], capsys)
    report = msgspec.json.decode(out, type=ImportReport)
    assert (code, report.files) == (0, 16)
    code, out, _ = call(["pool", "show", tmp_path / "p.pool", "--json"], capsys)
    counts = msgspec.json.decode(out, type=PoolReport)
    assert (code, set(counts.classes), counts.conflicts) == (0, {"sound", "stone"}, 0)


def test_intake_takes_records_in_and_leaves_a_receipt(
    pool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels, mask = synthetic_crop(1, 16, np.random.default_rng(0))
    numerators, denominators = norm_sums(pixels[None], mask[None], NormSpec())
    header = ResidualHeader(
        machine="mill-1", lot="lot-7", camera="top", line=1, column=2, utc="2026-01-01T00:00:00+00:00", encoder=4,
        side_px=16, channels=3, predicted_class="good", scores=(0.75, 0.25), action="accept", acknowledged="none",
        norm_q16=int(norm_q16(numerators, denominators)[0]), norm_numerator=int(numerators[0]),
        norm_denominator=int(denominators[0]), model_id="a" * 64, recipe_digest="b" * 64,
        truth=Truth("T0", "stone", 0.99, "ann"), failure="misclassified",
    )  # fmt: skip
    made = make_record(header, pixels, mask)
    path = tmp_path / "residuals.slrx"
    path.write_bytes(encode_export("mill-1", [made], NormStatistics()))
    code, out, _ = call(["intake", path, "--pool", pool, "--json"], capsys)
    assert (code, msgspec.json.decode(out, type=IntakeReport).fates) == (0, {"residual": 1})
    assert read_receipt(tmp_path / "residuals.receipt.json").ids == (made.id,)
    code, out, _ = call(["intake", path, "--pool", pool], capsys)
    assert (code, "1 known before" in out) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["run"], 2),
        (["sing"], 2),
        (["run", "--pool", "missing.pool", "--out", "x"], 2),
        (["import", "missing", "--pool", "x"], 2),
    ],
)
def test_wrong_usage_leaves_with_2(arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(arguments, capsys)[0] == code


@pytest.mark.parametrize("text", ["fit.stepps=3", "fit.steps=0", "fit.network=huge", "seed=-1", "nonsense"])
def test_wrong_settings_leave_with_3(pool: Path, tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(["run", "--pool", pool, "--out", tmp_path / "run", "--set", text], capsys)
    assert (code, out) == (3, "")
    assert text.split("=", maxsplit=1)[0].rsplit(".", maxsplit=1)[-1] in err


def test_a_wrong_key_in_a_file_is_named_with_its_line(
    pool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "run.toml"
    config.write_text("seed = 4\n[fit]\nstepps = 3\n")
    code, _, err = call(["run", "--pool", pool, "--out", tmp_path / "run", "--config", config], capsys)
    assert code == 3
    assert f"{config}, line 3: unknown key fit.stepps; did you mean steps?" in err


def test_settings_come_from_file_and_options_in_that_order(
    pool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "run.toml"
    config.write_text('seed = 4\nm = 3\n[fit]\nnetwork = "small"\nsteps = 3\nfinal_steps = 3\n[stop]\nrounds = 1\n')
    arguments: list[str | Path] = ["run", "--pool", pool, "--out", tmp_path / "run", "--config", config, "--json"]
    code, out, _ = call([*arguments, "--set", "m=2", "--seed", "9"], capsys)
    assert code == 0
    assert msgspec.json.decode(out, type=RunReport).rounds[0].training_samples == 4
    told = msgspec.json.decode((tmp_path / "run" / "run.json").read_bytes())["settings"]
    assert (told["seed"], told["m"], told["fit"]["steps"]) == (9, 2, 3)


def test_an_empty_pool_leaves_with_5_and_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Pool.open(tmp_path / "p.pool", create=True).close()
    code, out, err = call(tiny_run(tmp_path / "p.pool", tmp_path / "run"), capsys)
    assert (code, out) == (5, "")
    assert "import samples first" in err


def test_one_class_leaves_with_5(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_synthetic_pool(tmp_path / "p.pool", SyntheticSamples(("good",)))
    code, _, err = call(tiny_run(tmp_path / "p.pool", tmp_path / "run"), capsys)
    assert (code, "2 are needed" in err) == (5, True)


def test_a_leak_leaves_with_5_and_names_the_group(
    pool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(5)
    with Pool.open(pool) as opened:
        for at, side in enumerate(("train", "test")):
            made = synthetic_sample(0, "good", f"x{at}", (side, 16), rng)
            opened.add_sample(replace(made, group="one grain"))
    code, _, err = call(tiny_run(pool, tmp_path / "run"), capsys)
    assert (code, "one grain" in err) == (5, True)


def test_other_settings_in_a_used_folder_leave_with_5(factory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = call(tiny_run(factory / "p.pool", factory / "run", "--seed", "5"), capsys)
    assert (code, "settings.seed is 5, was 0" in err) == (5, True)


def test_a_file_where_the_folder_should_be_leaves_with_5(
    pool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run").write_text("")
    code, _, err = call(tiny_run(pool, tmp_path / "run"), capsys)
    assert (code, "cannot make the folder" in err) == (5, True)


def test_files_that_are_no_pool_no_export_and_no_model_leave_with_5_or_3(
    pool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text").write_text("not what it should be")
    codes = [
        call(["pool", "show", tmp_path / "text"], capsys)[0],
        call(["intake", tmp_path / "text", "--pool", pool], capsys)[0],
        call(["evaluate", tmp_path, "--data", tmp_path], capsys)[0],
    ]
    assert codes == [5, 5, 5]


def test_progress_goes_to_stderr_and_quiet_silences_it(
    pool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, err = call(tiny_run(pool, tmp_path / "one"), capsys)
    assert "round  1:" in err
    assert "round  1:" not in out
    assert all("worst recall" in line for line in err.splitlines())  # one event, one line, whatever the width
    _, _, err = call(tiny_run(pool, tmp_path / "two", "-q"), capsys)
    assert err == ""


def test_json_is_one_object_on_stdout_and_nothing_else(pool: Path, tmp_path: Path) -> None:
    arguments = [str(part) for part in tiny_run(pool, tmp_path / "run", "--json")]
    done = CliRunner().invoke(cli, arguments)
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""
    assert io.StringIO(done.stdout).readline().startswith('{"model"')


def test_named_classes_are_thrown_out_by_the_new_recipe(
    pool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = [part for text in TINY for part in ("--set", text)]
    out = tmp_path / "run"
    assert call(["run", "--pool", pool, "--out", out, "--eject", "stone", *short], capsys)[0] == 0
    recipe = (out / "model" / "recipe.toml").read_text()
    assert 'name = "stone"\naction = "eject"' in recipe
    assert 'name = "good"\naction = "accept"' in recipe
    code, _, err = call(["run", "--pool", pool, "--out", tmp_path / "x", "--eject", "stoen", *short], capsys)
    assert (code, "stoen" in err) == (3, True)
