"""A sorter that gets a frame every period and tells how long each took: python tails_sorter.py FOLDER KIND CORE.

KIND is "realtime", which asks for everything of `edge_runtime.realtime`, or "ordinary", which only stays on the core. A
frame's time runs from the moment it is due, not from when the process woke up for it.
"""

import os
import resource
import sys
import time
from pathlib import Path
from typing import Any, Final

import cv2
import msgspec
from children import serve
from vision_scene import own_sorter, read_scene

from edge_runtime.realtime import RealtimeSettings, enter_realtime
from firmware_bridge.clock import NS_PER_S, SystemClock

PRIORITY: Final = 50
WARM_UP: Final = 60


class PacedSorter:
    """Sorts the frames of a scene in turn, one a period."""

    def __init__(self, folder: Path, kind: str, core: int) -> None:
        os.sched_setaffinity(0, {core})  # before OpenCV counts the cores
        cv2.setNumThreads(1)
        files = read_scene(folder)
        self._frames = files.frames
        self._sorter = own_sorter(files)
        asked = RealtimeSettings(core=core, priority=PRIORITY)
        self._grants = msgspec.to_builtins(enter_realtime(asked)) if kind == "realtime" else {"granted": ["core"]}
        for number in range(WARM_UP):
            self._sorter.sort_frame(self._frames[number % len(self._frames)])

    def answer(self, question: dict[str, Any]) -> dict[str, Any]:
        """Sort {"frames": N, "period_ns": P}; return wall and CPU ns, page faults and lost processors of each frame."""
        rows: list[tuple[int, int, int, int]] = []
        clock = SystemClock()
        due_ns = time.monotonic_ns() + question["period_ns"]
        for number in range(question["frames"]):
            clock.sleep_s((due_ns - time.monotonic_ns()) / NS_PER_S)
            before, cpu_ns = resource.getrusage(resource.RUSAGE_SELF), time.thread_time_ns()
            self._sorter.sort_frame(self._frames[number % len(self._frames)])
            wall_ns, cpu_ns = time.monotonic_ns() - due_ns, time.thread_time_ns() - cpu_ns
            after = resource.getrusage(resource.RUSAGE_SELF)
            faults = after.ru_minflt + after.ru_majflt - before.ru_minflt - before.ru_majflt
            rows.append((wall_ns, cpu_ns, faults, after.ru_nivcsw - before.ru_nivcsw))
            due_ns += question["period_ns"]  # a frame that had to wait for the one before is late by that as well
        return {"rows": rows, "grants": self._grants}


if __name__ == "__main__":
    serve(PacedSorter(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])).answer)
