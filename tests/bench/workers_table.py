"""What a second worker gives, what recorder and metrics cost: `python tests/bench/workers_table.py`.

Real vision processes sort frames from a real ring as fast as they can; this script only keeps a few announced. Wall
time, variants in turn, medians. With --soak-s one variant goes on for so long, and its processes' memory is looked at.
"""

import argparse
import socket
import statistics
import sys
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from live_stage import Stage, free_port, make_stage, wait_until  # noqa: E402
from tables import table  # noqa: E402
from tiny_model import draw_pieces  # noqa: E402

from edge_runtime.live.bulletin import Bulletin  # noqa: E402
from edge_runtime.live.messages import (  # noqa: E402
    FrameDecided,
    FrameReady,
    ProcessReady,
    Stop,
    decode_child_news,
    decode_frame_news,
    encode,
)
from edge_runtime.live.packets import wait_for  # noqa: E402
from edge_runtime.live.processes import Running, start_process  # noqa: E402
from edge_runtime.live.roles import SETS, RecordWish, Roles, rows_of  # noqa: E402
from edge_runtime.live.run_report import LiveReport  # noqa: E402
from edge_runtime.live.shared_state import SharedState  # noqa: E402
from edge_runtime.live_settings import LiveSettings  # noqa: E402
from edge_runtime.model import load_model_folder  # noqa: E402
from edge_runtime.setup import recipe_origin  # noqa: E402
from firmware_bridge.clock import NS_PER_S, SystemClock  # noqa: E402

CLOCK = SystemClock()


class Clients:
    """One client that asks for the metrics twice a second, and one that begins to ask and never goes on."""

    def __init__(self, port: int) -> None:
        self.scrapes = 0
        self._port = port
        self._is_over = threading.Event()
        self._slow = socket.socket()
        assert wait_until(lambda: self._slow.connect_ex(("127.0.0.1", port)) == 0, 10.0), "nobody listens"
        self._slow.send(b"GET /met")
        self._scraper = threading.Thread(target=self._scrape)
        self._scraper.start()

    def close(self) -> None:
        """Leave."""
        self._is_over.set()
        self._scraper.join()
        self._slow.close()
        assert self.scrapes, "nobody answered"

    def _scrape(self) -> None:
        while not self._is_over.wait(0.5):
            with socket.create_connection(("127.0.0.1", self._port), 5.0) as client:
                client.settimeout(5.0)
                client.send(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
                self.scrapes += b"sortloop_frames" in b"".join(iter(lambda: client.recv(65_536), b""))


class Rig:
    """Workers, recorder and services where wished, and the feeding of frames."""

    def __init__(self, stage: Stage, *, workers: int, has_others: bool) -> None:
        live = msgspec.structs.replace(stage.machine.live, workers=workers)
        machine = msgspec.structs.replace(stage.machine, live=live)
        self.shared = SharedState.create(machine, bands=3, rows=rows_of(machine), channels=SETS)
        roles = Roles(machine, self.shared)
        folder = load_model_folder(stage.folder / "model")
        chosen = roles.workers(0, stage.folder / "model", folder.card.model_id)
        self._bulletin = Bulletin.create()
        said = LiveReport(machine.name, "", 0.0, False, False, 0, 0, (), ())  # what the supervisor would say
        self._bulletin.post(msgspec.json.encode(said), now_ns=CLOCK.monotonic_ns())
        if has_others:
            origin = recipe_origin(folder, folder.recipe, machine.name, "bench")
            chosen.append(roles.recorder(RecordWish(stage.folder / "spool"), lambda: {0: origin}))
            chosen += roles.services(self._bulletin.memory.fd)
        path, vitals_fd = str(stage.machine_path), self.shared.vitals.memory.fd
        self.running = [start_process(role, 1 + i, machine=path, vitals_fd=vitals_fd) for i, role in enumerate(chosen)]
        for one in self.running:
            wait_for([one.control], 60.0)
            assert isinstance(decode_child_news(one.control.receive() or b""), ProcessReady)
        self._clients = Clients(live.metrics_port) if has_others else None
        self._most_open = 2 * workers + 2
        self._line = 0

    def sort_for(self, frames: list[NDArray[np.uint8]], seconds: float) -> tuple[int, int]:
        """Sort for so long; return frames and objects decided."""
        ring, pair, news = self.shared.cameras[0].ring, self.shared.frames[0], self.shared.news.receiver
        end_ns = CLOCK.monotonic_ns() + round(seconds * NS_PER_S)
        count = objects = waiting = 0
        while CLOCK.monotonic_ns() < end_ns:
            while waiting < self._most_open:
                pixels = frames[ring.published % len(frames)]
                now_ns = CLOCK.monotonic_ns()
                number = ring.write(pixels, first_line=self._line, frame_id=ring.published, exposed_ns=now_ns)
                self._line += len(pixels)
                pair.sender.send(encode(FrameReady(0, number)))
                waiting += 1
            wait_for([news], 1.0)
            while (message := news.receive()) is not None:
                told = decode_frame_news(message)
                if isinstance(told, FrameDecided):
                    count, objects, waiting = count + 1, objects + told.objects, waiting - 1
        return count, objects

    def close(self) -> None:
        """End the processes."""
        if self._clients is not None:
            self._clients.close()
        for one in self.running:
            one.control.send(encode(Stop()))
            one.wait(10.0)
            one.kill()
            one.close()
        self.shared.close()


def memory_of(running: Running) -> tuple[int, int, int]:
    """Return the memory of a process's own in KiB, its open files and its threads."""
    folder = Path(f"/proc/{running.pid}")
    lines = (folder / "status").read_text("ascii").splitlines()
    own = {name: rest.split()[0] for name, _, rest in (line.partition(":") for line in lines) if rest.split()}
    return int(own["RssAnon"]), len(list((folder / "fd").iterdir())), int(own["Threads"])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--soak-s", type=float, default=0.0)
    wish = parser.parse_args()
    rng = np.random.default_rng(1)
    kinds = rng.choice(["good", "good", "good", "stone", "husk"], 75).tolist()
    frames = [draw_pieces(kinds, width_px=1024, seed=seed)[:128] for seed in range(16)]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "stage"
        stage = make_stage(
            folder, LiveSettings(priority=0, ring_frames=64, metrics_port=free_port()), to_valves_mm=5000.0
        )
        if wish.soak_s:
            soak(stage, frames, wish.soak_s)
            return
        variants = {
            "1 worker": (1, False),
            "2 workers": (2, False),
            "1 worker; recorder, metrics, a slow client": (1, True),
        }
        rates: dict[str, list[float]] = {name: [] for name in variants}
        for _ in range(wish.rounds):
            for name, (workers, has_others) in variants.items():
                rig = Rig(stage, workers=workers, has_others=has_others)
                rig.sort_for(frames, 1.0)
                rates[name].append(rig.sort_for(frames, wish.seconds)[1] / wish.seconds)
                rig.close()
    one = statistics.median(rates["1 worker"])
    rows = [
        (name, f"{statistics.median(found):.0f}", f"{statistics.median(found) / one:.2f}")
        for name, found in rates.items()
    ]
    sys.stdout.write(table(("", "objects/s", "against 1 worker"), rows, markdown=False))


def soak(stage: Stage, frames: list[NDArray[np.uint8]], seconds: float) -> None:
    """Sort for long with a worker and a recorder; print what became of their memory."""
    rig = Rig(stage, workers=1, has_others=True)
    objects = rig.sort_for(frames, seconds / 10)[1]
    before = [memory_of(one) for one in rig.running]
    objects = rig.sort_for(frames, seconds)[1]
    after = [memory_of(one) for one in rig.running]
    names = [one.role.name for one in rig.running]
    rig.close()
    rows = [
        (
            name,
            f"{old[0] / 1024:.1f}",
            f"{(new[0] - old[0]) / 1024:+.2f}",
            f"{old[1]} -> {new[1]}",
            f"{old[2]} -> {new[2]}",
        )
        for name, old, new in zip(names, before, after, strict=True)
    ]
    head = (f"{objects} objects", "MiB before", "growth, MiB", "files", "threads")
    sys.stdout.write(table(head, rows, markdown=False))


if __name__ == "__main__":
    main()
