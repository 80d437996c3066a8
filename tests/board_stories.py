"""Random stories of a host and a controller, told to any number of boards at once: the input of twin and core tests."""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from firmware_bridge import messages as m
from firmware_bridge.board import Board
from firmware_bridge.config_keys import ConfigKey
from firmware_bridge.endpoint import Endpoint
from firmware_bridge.framing import encode_frame

MS = 1_000_000


@dataclass
class Seen:
    """What one board did."""

    output: list[bytes] = field(default_factory=list)
    pulses: list[object] = field(default_factory=list)
    states: list[tuple[int, int]] = field(default_factory=list)
    transfers: list[object] = field(default_factory=list)


class Story:
    """One seeded story; `tell` makes every board live through it.

    Args:
        seed: same seed, same story.
        boards: told the same; the host listens to the first.
    """

    def __init__(self, seed: int, boards: Sequence[Board]) -> None:
        self.rng = random.Random(seed)
        self.boards = boards
        self.seen = [Seen() for _ in boards]
        self.host = Endpoint(is_host=True)
        self.now_ns = 0
        self.epoch = 0
        self.next_evid = 0
        self.old_batches: list[m.EjectBatch] = []
        self.cfg_crc = 0

    def tell(self, steps: int) -> list[Seen]:
        """Go through `steps` random steps and return what each board did."""
        self._hello()
        for _ in range(steps):
            action = self.rng.choices(
                (self._wait, self._beat, self._batch, self._control, self._bulk, self._noise, self._rare),
                weights=(36, 22, 22, 7, 6, 3, 1),
            )[0]
            action()
        self._wait(ms=400)
        return self.seen

    def _feed(self, data: bytes) -> None:
        if self.rng.random() < 0.03:
            data = self._damage(data)
        for board in self.boards:
            board.feed(data, self.now_ns)
        self._look()

    def _look(self) -> None:
        for number, board in enumerate(self.boards):
            output = board.take_output()
            self.seen[number].output.append(output)
            self.seen[number].pulses += board.take_fired()
            self.seen[number].transfers += board.take_transfers()
            self.seen[number].states.append((board.state, board.feeder_permille))
            if number == 0 and self.rng.random() < 0.9:  # else the host does not hear it
                for message, _ in self.host.receive(output, self.now_ns):
                    if isinstance(message, m.Ident):
                        self.next_evid = message.next_evid
                    if isinstance(message, m.Ident | m.CfgVal | m.Status):
                        self.cfg_crc = message.cfg_crc

    def _damage(self, data: bytes) -> bytes:
        changed = bytearray(data)
        for _ in range(self.rng.randint(0, 2)):
            if changed:
                changed[self.rng.randrange(len(changed))] ^= 1 << self.rng.randrange(8)
        return bytes(changed) + data * (self.rng.random() < 0.3)

    def _wait(self, ms: float | None = None) -> None:
        step_us = round((ms if ms is not None else self.rng.choice((0.05, 0.5, 1, 1, 2, 5, 20, 90))) * 1000)
        if self.rng.random() < 0.004:
            step_us += self.rng.choice((300_000, 1_200_000))
        self.now_ns += step_us * 1000
        for board in self.boards:
            board.advance(self.now_ns)
        self._look()

    def _hello(self) -> None:
        self.epoch = self.rng.choice((self.epoch, 0)) if self.epoch and self.rng.random() < 0.2 else 0
        epoch = self.epoch or self.rng.randrange(1, 256) | self.rng.randrange(1 << 16) << 8
        self.epoch = epoch
        self.host.start_session(epoch & 0xFF)
        hello = m.Hello(1, self.rng.choice((1, 1, 1, 2)), epoch, self.rng.choice((250, 250, 60, 0)))
        self._feed(self.host.encode_session(hello, self.rng.randrange(1, 1 << 16)))
        if self.rng.random() < 0.8:
            for _ in range(self.rng.randrange(3)):
                self.host.push_control(self._cfg_set())
            self.host.push_control(m.SetState(m.BoardState.ARMED))
            self._beat()
            self._beat()

    def _beat(self) -> None:
        crc = self.cfg_crc if self.rng.random() < 0.99 else 0
        flags = m.HeartbeatFlag.ARMED_WANTED if self.rng.random() < 0.97 else m.HeartbeatFlag.NONE
        self._feed(self.host.encode(m.Heartbeat(self.now_ns // MS, crc, flags)) + self.host.flush(self.now_ns))

    def _item(self) -> m.EjectItem:
        return m.EjectItem(
            self.rng.randrange(3000),
            self.rng.choice((self.rng.randrange(12), self.rng.randrange(26), 26, 31)),
            self.rng.randint(1, 4),
            self.rng.choice((300, 900, 1500, 1500, 30_000)),
        )

    def _batch(self) -> None:
        rng = self.rng
        tick = self.boards[0].tick_at(self.now_ns)
        ahead = rng.choice((-30_000, -500, -90, 800, 2000, 5000, 5000, 9000, 12_000, 40_000, 3_000_000))
        flags = m.BatchFlag(rng.choices((0, 4, 1, 6), weights=(4, 8, 1, 3))[0])
        base = (tick + ahead) % 2**32
        if rng.random() < 0.2:
            rows = tuple(
                m.MaskItem(rng.randrange(3000), rng.randrange(12), rng.getrandbits(32) & 0x3FFF or 1, 1500)
                for _ in range(rng.randint(1, 5))
            )
            self._send_events(m.EjectMask(self.next_evid % 2**32, base, flags, rows), len(rows))
        elif rng.random() < 0.25 and self.old_batches:
            self._feed(self.host.encode(rng.choice(self.old_batches[-20:])))
        else:
            items = tuple(self._item() for _ in range(rng.choice((1, 3, 20, 39))))
            batch = m.EjectBatch(self.next_evid % 2**32, base, flags, items)
            self.old_batches.append(batch)
            self._send_events(batch, len(items))

    def _send_events(self, batch: m.EjectBatch | m.EjectMask, count: int) -> None:
        self.next_evid += count + self.rng.choice((0, 0, 0, 1, 40))
        self._feed(self.host.encode(batch))

    def _control(self) -> None:
        rng = self.rng
        wish: m.Message = rng.choice(
            (
                m.SetState(m.BoardState.ARMED),
                m.SetState(m.BoardState.ARMED),
                m.SetState(m.BoardState.IDLE),
                m.FeederSet(rng.randrange(1001)),
                m.FeederSet(0),
                m.DictRead(rng.randrange(6000), rng.randint(1, 240)),
                m.Selftest(
                    rng.randrange(20), rng.randrange(20, 34), rng.choice((200, 1000)), m.SelftestMode(rng.randrange(2))
                ),
                self._cfg_set(),
            )
        )
        if rng.random() < 0.06:
            wish = m.SetState(m.BoardState.SAFE)
        self.host.push_control(wish)
        self._feed(self.host.flush(self.now_ns))

    def _cfg_set(self) -> m.CfgSet:
        values = {
            ConfigKey.MAX_PULSE_US: (2000, 20_000),
            ConfigKey.MIN_OFF_US: (0, 500, 3000),
            ConfigKey.LATE_TOL_US: (150, 2000),
            ConfigKey.MAX_OPEN_VALVES: (4, 8, 4096),
            ConfigKey.MAX_DUTY_PERMILLE: (5, 100, 1000),
        }
        key = self.rng.choice(list(values))
        return m.CfgSet(key, self.rng.choice((*values[key], 70_000)))

    def _bulk(self) -> None:
        """Blocks of two small files, in any order, some of them twice, some wrong."""
        rng = self.rng
        number = rng.randrange(2)
        block_b = 40 + 60 * number
        data = bytes(range(200)) * (1 + number)
        transfer_id = rng.choice((7, 8, 9))
        frames = b""
        for _ in range(rng.choice((1, 4, 12))):
            if rng.random() < 0.3:
                digest = hashlib.sha256(data).digest()[:16] if rng.random() < 0.9 else bytes(16)
                size_b = len(data) if rng.random() < 0.95 else 1 << 40
                wish = m.XferOpen(
                    transfer_id, size_b, digest, m.TransferKind.FILE, block_b, b"n\xff"[: rng.randrange(3)]
                )
                frames += self.host.encode(wish)
            else:
                start = rng.randrange(0, len(data), block_b if rng.random() < 0.95 else 7)
                piece = data[start : start + block_b * rng.choice((1, 1, 3, 9))]
                frames += self.host.encode(m.XferData(transfer_id, start, piece))
        self._feed(frames)

    def _noise(self) -> None:
        rng = self.rng
        choice = rng.random()
        if choice < 0.3:
            self._feed(rng.randbytes(rng.choice((1, 20, 300, 1500))))
        elif choice < 0.6:
            frame = encode_frame(
                rng.choice((0x44, 0x60, 0x39, 0x7F, 0x85, 0xA0, 0x50, rng.randrange(256))),
                rng.choice((self.epoch & 0xFF, 0, 77)),
                rng.randrange(1 << 16),
                rng.randbytes(rng.choice((0, 1, 4, 9, 40))),
            )
            self._feed(frame)
        else:
            start = self.next_evid - rng.randrange(60)
            wish = m.EjectCancel(start % 2**32, (start + rng.randint(1, 70)) % 2**32)
            self._feed(self.host.encode(wish))

    def _rare(self) -> None:
        rng = self.rng
        choice = rng.random()
        if choice < 0.25:
            for board in self.boards:
                board.trigger(rng.randrange(1), self.now_ns)
            self._look()
        elif choice < 0.45:
            self._feed(self.host.encode(m.ClockReq(rng.getrandbits(32))))
        elif choice < 0.55:
            for board in self.boards:
                board.reboot(self.now_ns)
            self.next_evid = 0
            self._look()
        else:
            self._hello()
