"""Byte streams that a receiver may meet: intact frames among every kind of damage, for hypothesis."""

from hypothesis import strategies as st

from firmware_bridge.framing import Frame, cobs_encode, encode_frame

__all__ = ["cut", "frames", "streams"]

# Long runs without a zero are where COBS has its corner cases; 246 B and 256 B of payload fill one run and the body.
_RUNS = st.builds(
    lambda parts: b"".join(b"\x07" * length + b"\0" * zeros for length, zeros in parts),
    st.lists(st.tuples(st.sampled_from([0, 1, 2, 243, 246, 247, 253, 254, 255]), st.integers(0, 2)), max_size=3),
)


def frames(max_body_b: int = 264) -> st.SearchStrategy[Frame]:
    """Frames that a receiver with this limit accepts."""
    payloads = st.one_of(st.binary(max_size=40), st.binary(max_size=max_body_b), _RUNS)
    return st.builds(
        Frame,
        st.integers(0, 255),
        st.integers(0, 255),
        st.integers(0, 65_535),
        payloads.map(lambda payload: payload[: max_body_b - 8]),
    )


def _damage(wire: bytes, at: int, gone: int, put: bytes) -> bytes:
    at %= len(wire) + 1
    return wire[:at] + put + wire[at + gone :]


def streams(max_body_b: int = 264) -> st.SearchStrategy[bytes]:
    """Streams of intact frames, damaged frames, well-formed bodies of any length, pieces of one code, and noise."""
    wires = frames(max_body_b).map(lambda frame: encode_frame(*frame, max_body_b=max_body_b))
    lengths = st.integers(0, max_body_b + 12) | st.integers(max_body_b - 3, max_body_b + 4)
    pieces = st.one_of(
        wires,
        st.builds(_damage, wires, st.integers(0, 2000), st.integers(0, 3), st.binary(max_size=3)),
        st.builds(lambda length, byte: cobs_encode(bytes((byte,)) * length) + b"\0", lengths, st.sampled_from([0, 5])),
        st.builds(lambda length, code: bytes((code,)) * length + b"\0", lengths, st.sampled_from([1, 2, 254, 255])),
        st.binary(max_size=30),
    )
    return st.lists(pieces, max_size=8).map(b"".join)


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    """Return `data` in chunks of these sizes, and the rest."""
    chunks = []
    for size in sizes:
        chunks.append(data[:size])
        data = data[size:]
    return [*chunks, data]
