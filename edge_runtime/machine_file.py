r"""The machine file: read, and proven to describe a machine. Knows no model and no pixels: every process reads it.

>>> import tempfile
>>> with tempfile.TemporaryDirectory() as folder:
...     path = Path(folder) / "machine.toml"
...     _ = path.write_text('name = "desk"\n[[camera]]\n[[lane]]\nvalve = 0\nfrom_mm = 0.0\nto_mm = 5.0\n')
...     load_machine(path).cameras[0].name
'top'
"""

import math
from pathlib import Path

from edge_runtime.config import load_settings
from edge_runtime.errors import ConfigError
from edge_runtime.schemas import Lane, Machine

__all__ = ["load_machine"]


def load_machine(path: Path) -> Machine:
    """Read a machine file.

    Raises:
        ConfigError: a key is wrong, there is no camera or no lane, two cameras share a name or two lanes a valve, a
            lane has no width or begins before its neighbour ends, or a pulse may not be longer than the least pause.
    """
    machine = load_settings(path, Machine)
    if not machine.cameras or not machine.lanes:
        raise ConfigError(f"{path}: a machine needs at least one [[camera]] and one [[lane]]")
    names = [camera.name for camera in machine.cameras]
    if len(set(names)) < len(names):
        raise ConfigError(f"{path}: cameras are called {', '.join(names)}: give each a name of its own")
    _check_lanes(path, machine.lanes)
    if machine.min_pause_us >= machine.max_pulse_us:
        raise ConfigError(
            f"{path}: min_pause_us {machine.min_pause_us} leaves no time of {machine.max_pulse_us} to blow"
        )
    return machine


def _check_lanes(path: Path, lanes: tuple[Lane, ...]) -> None:
    end_mm, valves = -math.inf, set[int]()
    for number, lane in enumerate(lanes):
        if lane.from_mm >= lane.to_mm:
            raise ConfigError(
                f"{path}: lane[{number}] goes from {lane.from_mm} to {lane.to_mm} mm: it would never fire"
            )
        if lane.from_mm < end_mm:
            raise ConfigError(
                f"{path}: lane[{number}] begins at {lane.from_mm} mm, the one before it ends at {end_mm}: "
                "give lanes in order, side by side"
            )
        if lane.valve in valves:
            raise ConfigError(f"{path}: lane[{number}] has valve {lane.valve}, as one before: each valve has one lane")
        end_mm = lane.to_mm
        valves.add(lane.valve)
