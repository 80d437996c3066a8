"""Settings of the live shell: the `[live]` table of machine.toml. See docs/live.md for what they mean together.

>>> LiveSettings().workers
1
"""

from typing import Annotated

import msgspec

from edge_runtime.live.ladder import LadderSettings

__all__ = ["LiveSettings"]

Core = Annotated[int, msgspec.Meta(ge=0, le=4095)]


class LiveSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the processes of a sorting machine share its computer.

    Attributes:
        model: model folder to sort with; a relative path begins at the machine file's folder.
        fallback: model folder with the same classes and crops and a quicker network, which decides while frames grow
            old, see docs/live.md; relative as `model`, empty for none.
        state: folder of the spool, the runs' journals and the control socket; relative as `model`.
        workers: vision processes; one a core that is free for them.
        ring_frames: frames that each camera's ring holds.
        record_ring_mib: memory for what a worker decided and the recorder has not taken yet, MiB a worker.
        priority: real-time priority of the bridge, 1 to 99; capture and vision run one and two below; 0 for ordinary
            processes.
        capture_cores: cores of the capture processes, one a camera; empty leaves the choice to the system.
        vision_cores: cores of the workers, one each.
        bridge_cores: core of the bridge.
        send_ahead_ms: a pulse is sent so long before it opens; until then pulses of other views are united with it. A
            line whose round trip takes more than half of it is not armed.
        hang_s: a process without progress for so long is killed and started again.
        restarts_a_minute: a process that ended so often within a minute is given up: the machine stops.
        ladder: what is done without when frames grow old.
        metrics_port: port of this computer for metrics and status; 0 for none.
    """

    model: str = "model"
    fallback: str = ""
    state: str = "state"
    workers: Annotated[int, msgspec.Meta(ge=1, le=16)] = 1
    ring_frames: Annotated[int, msgspec.Meta(ge=16, le=1024)] = 64
    record_ring_mib: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 32
    priority: Annotated[int, msgspec.Meta(ge=0, le=99)] = 50
    capture_cores: tuple[Core, ...] = ()
    vision_cores: tuple[Core, ...] = ()
    bridge_cores: Annotated[tuple[Core, ...], msgspec.Meta(max_length=1)] = ()
    send_ahead_ms: Annotated[float, msgspec.Meta(ge=1.0, le=1000.0)] = 20.0
    hang_s: Annotated[float, msgspec.Meta(ge=0.2, le=60.0)] = 1.0
    restarts_a_minute: Annotated[int, msgspec.Meta(ge=1, le=100)] = 5
    ladder: LadderSettings = LadderSettings(over_ms=2000)  # a worker that was killed is back sooner
    metrics_port: Annotated[int, msgspec.Meta(ge=0, le=65_535)] = 9464
