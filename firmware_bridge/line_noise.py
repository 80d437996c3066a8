r"""What a bad line does to bytes and to frames, whenever it happens: no time, no settings file, no I/O.

Every fault draws from a generator of its own and counts its own trials, so that the damage to a stream depends on the
seed and on the stream alone, never on the pieces in which it is handed over.

>>> import random
>>> noise = ByteNoise(random.Random(1), drop_rate=0.5)
>>> noise.apply(b"abcdefgh")
b'ach'
>>> noise.dropped_b
5
"""

import random
from collections.abc import Iterator, Sequence
from math import inf, log, log1p
from typing import Final

__all__ = ["LONGEST_PIECE_B", "ByteNoise", "FrameNoise", "Trials"]

LONGEST_PIECE_B: Final = 4096  # a stream without delimiters must not be kept for ever
_NEVER: Final = 1 << 62
_NONE: Final[tuple[int, ...]] = ()


class Trials:
    """Equal, independent chances, drawn as the distance to the next hit: most trials cost one subtraction.

    Args:
        rate: chance of each trial, 0..1.
        rng: where the distances come from.

    >>> Trials(1.0, random.Random(0)).hits(3)
    [0, 1, 2]
    """

    __slots__ = ("_log_miss", "_rate", "_rng", "left")

    def __init__(self, rate: float, rng: random.Random) -> None:
        self._rate = rate
        self._rng = rng
        self._log_miss = log1p(-rate) if rate < 1.0 else -inf
        self.left = self._draw()  # trials that miss before the next hit

    def hit(self) -> bool:
        """Tell whether the next trial hits."""
        if self.left:
            self.left -= 1
            return False
        self.left = self._draw()
        return True

    def hits(self, n_trials: int) -> Sequence[int]:
        """Return which of the next `n_trials` trials hit, in ascending order from 0."""
        at = self.left
        if at >= n_trials:
            self.left = at - n_trials
            return _NONE
        found: list[int] = []
        while at < n_trials:
            found.append(at)
            at += 1 + self._draw()
        self.left = at - n_trials
        return found

    def _draw(self) -> int:
        if self._rate <= 0.0:
            return _NEVER
        if self._rate >= 1.0:
            return 0
        return int(min(log(1.0 - self._rng.random()) / self._log_miss, _NEVER))


class ByteNoise:
    """Flips bits, overwrites bursts, loses and invents bytes, in this order.

    Args:
        rng: seeds the generator of each fault.
        bit_error_rate: chance of each bit to flip.
        burst_rate: chance of each byte to begin a burst.
        burst_length_b: bytes of a burst.
        burst_values: byte values of which each burst takes one.
        drop_rate: chance of each byte to vanish.
        insert_rate: chance of each byte to find a random one before it.
    """

    def __init__(
        self,
        rng: random.Random,
        *,
        bit_error_rate: float = 0.0,
        burst_rate: float = 0.0,
        burst_length_b: int = 1,
        burst_values: bytes = b"\0",
        drop_rate: float = 0.0,
        insert_rate: float = 0.0,
    ) -> None:
        self.flipped_bits = self.overwritten_b = self.dropped_b = self.inserted_b = 0
        flips, bursts, drops, inserts, self._values = _children(rng, 5)
        self._flips = Trials(bit_error_rate, flips)
        self._bursts = Trials(burst_rate, bursts)
        self._drops = Trials(drop_rate, drops)
        self._inserts = Trials(insert_rate, inserts)
        self._invented = _children(self._values, 1)[0]
        self._burst_length_b = burst_length_b
        self._burst_values = burst_values
        self._burst_left_b = 0  # of a burst that goes on in the bytes to come
        self._burst_byte = b"\0"

    def apply(self, data: bytes) -> bytes:
        """Return what is left of `data`."""
        if bits := self._flips.hits(8 * len(data)):
            data = self._flip(data, bits)
        starts = self._bursts.hits(len(data))
        if starts or self._burst_left_b:
            data = self._overwrite(data, starts)
        if places := self._drops.hits(len(data)):
            self.dropped_b += len(places)
            data = b"".join(_between(data, places, skip=1))
        if places := self._inserts.hits(len(data)):
            self.inserted_b += len(places)
            data = self._insert(data, places)
        return data

    def _flip(self, data: bytes, bits: Sequence[int]) -> bytes:
        changed = bytearray(data)
        for bit in bits:
            changed[bit >> 3] ^= 1 << (bit & 7)
        self.flipped_bits += len(bits)
        return bytes(changed)

    def _overwrite(self, data: bytes, starts: Sequence[int]) -> bytes:
        changed = bytearray(data)
        end = min(self._burst_left_b, len(data))
        changed[:end] = self._burst_byte * end
        self.overwritten_b += end
        self._burst_left_b -= end
        for start in starts:
            value = self._values.choice(self._burst_values)
            self._burst_byte = bytes((value,))
            stop = min(start + self._burst_length_b, len(data))
            changed[start:stop] = self._burst_byte * (stop - start)
            self.overwritten_b += stop - max(start, end)
            self._burst_left_b = self._burst_length_b - (stop - start)
            end = stop
        return bytes(changed)

    def _insert(self, data: bytes, places: Sequence[int]) -> bytes:
        pieces = _between(data, places, skip=0)
        out = [next(pieces)]
        for piece in pieces:
            out += (bytes((self._invented.randrange(256),)), piece)
        return b"".join(out)


class FrameNoise:
    r"""Loses, doubles and swaps pieces of the stream; a piece ends with its zero byte, or at LONGEST_PIECE_B.

    A piece leaves when it is whole: what has no delimiter yet waits here.

    Args:
        rng: seeds the generator of each fault.
        drop_rate: chance of each piece to vanish.
        duplicate_rate: chance of each other piece to come twice.
        reorder_rate: chance of each other piece to be overtaken by the next one, while none is being overtaken.

    >>> swapping = FrameNoise(random.Random(1), reorder_rate=1.0)
    >>> swapping.apply(b"a\0b\0c\0")
    b'b\x00a\x00'
    >>> swapping.release()
    b'c\x00'
    """

    def __init__(
        self,
        rng: random.Random,
        *,
        drop_rate: float = 0.0,
        duplicate_rate: float = 0.0,
        reorder_rate: float = 0.0,
    ) -> None:
        self.dropped = self.dropped_b = self.duplicated = self.duplicated_b = self.reordered = 0
        self.held = b""  # the piece that the next one will overtake
        drops, duplicates, reorders = _children(rng, 3)
        self._drops = Trials(drop_rate, drops)
        self._duplicates = Trials(duplicate_rate, duplicates)
        self._reorders = Trials(reorder_rate, reorders)
        self._tail = b""

    @property
    def waiting_b(self) -> int:
        """Return how many bytes wait for their delimiter or for the piece that overtakes them."""
        return len(self._tail) + len(self.held)

    def apply(self, data: bytes) -> bytes:
        """Return the pieces that leave now that `data` has come."""
        if not self._tail and not self.held and data.endswith(b"\0") and len(data) <= LONGEST_PIECE_B:
            n_pieces = data.count(0)
            drops, duplicates, reorders = self._drops, self._duplicates, self._reorders
            if drops.left >= n_pieces and duplicates.left >= n_pieces and reorders.left >= n_pieces:
                drops.left -= n_pieces
                duplicates.left -= n_pieces
                reorders.left -= n_pieces
                return data
        return b"".join([out for piece in self._pieces(data) if (out := self._judge(piece))])

    def release(self) -> bytes:
        """Return the piece that nothing has overtaken; it leaves now."""
        held, self.held = self.held, b""
        return held

    def clear(self) -> int:
        """Forget what waits; return how many bytes that was."""
        lost_b = self.waiting_b
        self._tail = self.held = b""
        return lost_b

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        *closed, self._tail = (self._tail + data).split(b"\0")
        for piece in closed:
            yield from _cut(piece + b"\0")
        if len(self._tail) >= LONGEST_PIECE_B:
            whole_b = len(self._tail) // LONGEST_PIECE_B * LONGEST_PIECE_B
            full, self._tail = self._tail[:whole_b], self._tail[whole_b:]
            yield from _cut(full)

    def _judge(self, piece: bytes) -> bytes:
        if self._drops.hit():
            self.dropped += 1
            self.dropped_b += len(piece)
            return b""
        if self._duplicates.hit():
            self.duplicated += 1
            self.duplicated_b += len(piece)
            piece += piece
        if self.held:
            return piece + self.release()
        if self._reorders.hit():
            self.reordered += 1
            self.held = piece
            return b""
        return piece


def _children(rng: random.Random, count: int) -> list[random.Random]:
    """Return independent generators, so that one fault's draws never shift another's."""
    return [random.Random(rng.getrandbits(64)) for _ in range(count)]  # noqa: S311 - noise, not secrets


def _between(data: bytes, places: Sequence[int], *, skip: int) -> Iterator[bytes]:
    """Yield the stretches before, between and behind `places`, leaving out `skip` bytes at each."""
    start = 0
    for place in places:
        yield data[start:place]
        start = place + skip
    yield data[start:]


def _cut(piece: bytes) -> Iterator[bytes]:
    for start in range(0, len(piece), LONGEST_PIECE_B):
        yield piece[start : start + LONGEST_PIECE_B]
