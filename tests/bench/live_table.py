"""A whole live run at a rate, beside a machine of perfect timing: `python tests/bench/live_table.py --rate 2500`.

Two views of one belt are sorted by real processes against the virtual world. The same decisions with every pulse
exactly as asked are the oracle. Steal is what the computer gave to others of its kind meanwhile.
"""

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from live_stage import adds_up, make_stage, wait_until  # noqa: E402
from tables import table  # noqa: E402

from edge_runtime.live_settings import LiveSettings  # noqa: E402
from edge_runtime.virtual_world_judge import Judgement  # noqa: E402


def steal_share() -> tuple[int, int]:
    """Return ticks stolen from this computer and all ticks, since it started."""
    ticks = [int(word) for word in Path("/proc/stat").read_text("ascii").splitlines()[0].split()[1:]]
    return ticks[7], sum(ticks)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=float, default=2500.0, help="pieces a second, each seen by every camera")
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--cameras", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--way-mm", type=float, default=700.0)
    parser.add_argument("--gap-mm", type=float, default=0.8)
    parser.add_argument("--folder", type=Path, default=None)
    wish = parser.parse_args()
    live = LiveSettings(workers=wish.workers, metrics_port=0)
    pieces = round(wish.rate * wish.seconds)
    with ExitStack() as stack:
        folder = wish.folder or Path(stack.enter_context(tempfile.TemporaryDirectory())) / "stage"
        stage = make_stage(folder, live, cameras=wish.cameras, to_valves_mm=wish.way_mm)
        options = ("--rate", wish.rate, "--pieces", pieces, "--gap-mm", wish.gap_mm, "--priority", 80, "--judge")
        stolen, all_ticks = steal_share()
        with stage.world(*options, "--settle-s", 3) as world:
            with stage.run("--armed"):
                wait_until(lambda: (folder / "world" / "judgement.json").exists() or world.poll() is not None, 240.0)
            world.wait(120)
        after = steal_share()
        report, outcome = stage.report(), stage.outcome()
        judgement = msgspec.json.decode((folder / "world" / "judgement.json").read_bytes(), type=Judgement)
    rows = [
        (
            name,
            *(
                f"{getattr(sort, name):.4f}" if getattr(sort, name) is not None else "-"
                for sort in (judgement.live, judgement.oracle)
            ),
        )
        for name in ("purity", "product_yield", "carry_over", "bad_removed")
    ]
    rows += [
        (name, *(str(getattr(sort, name)) for sort in (judgement.live, judgement.oracle)))
        for name in ("missed", "co_deflected")
    ]
    sys.stdout.write(
        table((f"{pieces} pieces at {wish.rate:.0f}/s, {wish.cameras} views", "live", "oracle"), rows, markdown=False)
    )
    objects = sum(camera.counts.objects for camera in report.cameras)
    ends: dict[str, int] = {}
    for camera in report.cameras:
        for name, count in camera.counts.ends.items():
            ends[name] = ends.get(name, 0) + count
        sys.stdout.write(f"{camera.name}: frames in {camera.counts.frames_in}, missing {camera.counts.missing}\n")
    asked, company = sum(ends.values()), judgement.oracle_company
    sys.stdout.write(
        f"objects {objects}, to be ejected {asked}: {ends}; late {ends.get('late', 0) / max(1, asked):.1e}; "
        f"books add up: {adds_up(report)}\n"
        f"jets that took a piece along: live {judgement.live_company.share}, oracle {company.share}, "
        f"by chance {company.floor}; fired twice {outcome.fired_twice}, late {outcome.fired_late}\n"
        f"steal {100 * (after[0] - stolen) / max(1, after[1] - all_ticks):.1f} %, world's wakes {outcome.wakes}\n"
    )


if __name__ == "__main__":
    main()
