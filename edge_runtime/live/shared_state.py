"""Everything that the processes of a run share: memory and sockets, made and held by the supervisor.

It outlives every other process; so do messages on their way and the books. Knows no process.
"""

import msgspec

from edge_runtime.live.books import FrameBooks
from edge_runtime.live.camera_tally import CameraTally
from edge_runtime.live.frame_ring import FrameRing, RingShape
from edge_runtime.live.packets import Packets, packet_pair
from edge_runtime.live.record_ring import RecordRing
from edge_runtime.live.shared_memory import SharedMemory
from edge_runtime.live.vitals import Vitals
from edge_runtime.schemas import Camera, Machine

__all__ = ["CameraShare", "PacketPair", "SharedState"]


class PacketPair(msgspec.Struct, frozen=True):
    """Both ends of a way for messages."""

    sender: Packets
    receiver: Packets

    @staticmethod
    def make() -> "PacketPair":
        """Return a new pair."""
        return PacketPair(*packet_pair())

    def close(self) -> None:
        """Give up both ends."""
        self.sender.close()
        self.receiver.close()


class CameraShare(msgspec.Struct, frozen=True):
    """What belongs to one camera."""

    camera: Camera
    ring: FrameRing
    books: FrameBooks
    tally: CameraTally


class SharedState(msgspec.Struct, frozen=True):
    """One run.

    Attributes:
        vitals: a row a process.
        cameras: in the machine's order.
        frames: capture to vision, by channel: one for each set of workers.
        news: vision to bridge.
        records: all to recorder; record_rings: one a worker's place.
    """

    vitals: Vitals
    cameras: tuple[CameraShare, ...]
    frames: tuple[PacketPair, ...]
    news: PacketPair
    records: PacketPair
    record_rings: tuple[RecordRing, ...]

    @staticmethod
    def create(machine: Machine, *, bands: int, rows: int, channels: int) -> "SharedState":
        """Make the memory and sockets of a run.

        Args:
            machine: its cameras and `live` table.
            bands: of every camera's frames.
            rows: most processes at one time.
            channels: most sets of workers.

        Raises:
            OverloadError: there is not so much memory left.
        """
        records_b = machine.live.record_ring_mib << 20
        return SharedState(
            Vitals.create(rows),
            tuple(_share(camera, machine.live.ring_frames, bands) for camera in machine.cameras),
            tuple(PacketPair.make() for _ in range(channels)),
            PacketPair.make(),
            PacketPair.make(),
            tuple(RecordRing.create(f"{place}", records_b) for place in range(channels * machine.live.workers)),
        )

    def close(self) -> None:
        """Give up this process's hold on all of it."""
        self.vitals.memory.close()
        for share in self.cameras:
            for memory in (share.ring.memory, share.books.memory, share.tally.memory):
                memory.close()
        for ring in self.record_rings:
            ring.memory.close()
        for pair in (*self.frames, self.news, self.records):
            pair.close()


def _share(camera: Camera, slots: int, bands: int) -> CameraShare:
    shape = RingShape(slots, camera.frame_lines, camera.width_px, bands)
    tally = SharedMemory.create(f"tally-{camera.name}", CameraTally.SIZE_B)
    return CameraShare(camera, FrameRing.create(camera.name, shape), FrameBooks.create(camera.name), CameraTally(tally))
