"""What comes through the socket is a frame, or the camera is gone; nothing in between."""

import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.cameras.virtual_camera import BLOCK_HEADER, INCOMPLETE, WHOLE, VirtualCamera, open_virtual_camera
from edge_runtime.errors import CameraError, StorageError
from edge_runtime.schemas import Camera
from edge_runtime.virtual_world_cameras import CameraBlock, CameraServer
from firmware_bridge.clock import ManualClock

CAMERA = Camera("top", width_px=16)


def wire_of(frame_id: int, *, lines: int = 4, bands: int = 3, magic: bytes = WHOLE) -> bytes:
    pixels = np.full((lines, 16, bands), frame_id % 256, np.uint8)
    return BLOCK_HEADER.pack(magic, frame_id, frame_id * lines, lines, 16, bands, 1000 + frame_id) + pixels.tobytes()


def opened() -> tuple[socket.socket, VirtualCamera]:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    return ours, VirtualCamera(theirs, CAMERA, ManualClock())


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9), st.sampled_from([1, 3])), max_size=6), st.integers(1, 300))
def test_frames_arrive_whole_however_the_bytes_are_cut(shapes: list[tuple[int, int]], piece_b: int) -> None:
    far, camera = opened()
    data = b"".join(wire_of(i, lines=lines, bands=bands) for i, (lines, bands) in enumerate(shapes))
    seen = []
    for start in range(0, len(data), piece_b):
        far.sendall(data[start : start + piece_b])
        while (frame := camera.take(0.0)) is not None:
            seen.append((frame.frame_id, frame.pixels.shape, int(frame.pixels.min()), int(frame.pixels.max())))
    far.close()
    camera.close()

    assert seen == [(i, (lines, 16, bands), i, i) for i, (lines, bands) in enumerate(shapes)]


def test_pixels_come_into_the_same_buffer() -> None:
    far, camera = opened()
    far.sendall(wire_of(1) + wire_of(2))

    first = camera.take(0.0)
    second = camera.take(0.0)

    assert first is not None
    assert second is not None
    assert np.shares_memory(first.pixels, second.pixels)
    assert (first.exposed_ns, second.exposed_ns, second.is_complete) == (1001, 1002, True)
    far.close()
    camera.close()


def test_missing_pixels_are_told() -> None:
    far, camera = opened()
    far.sendall(wire_of(1, magic=INCOMPLETE))

    frame = camera.take(0.0)

    assert frame is not None
    assert not frame.is_complete
    far.close()
    camera.close()


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (BLOCK_HEADER.pack(b"SLVX", 1, 0, 4, 16, 3, 0), "sent no block"),
        (BLOCK_HEADER.pack(WHOLE, 1, 0, 0, 16, 3, 0), "sent no block"),
        (BLOCK_HEADER.pack(WHOLE, 1, 0, 65_537, 16, 3, 0), "sent no block"),
        (BLOCK_HEADER.pack(WHOLE, 1, 0, 4, 16, 2, 0), "sent no block"),
        (BLOCK_HEADER.pack(WHOLE, 1, 0, 4, 17, 3, 0), "has 17 px a line, width_px is 16"),
    ],
)
def test_what_is_no_block_ends_it(header: bytes, message: str) -> None:
    far, camera = opened()
    far.sendall(header)

    with pytest.raises(CameraError, match=message):
        camera.take(0.0)
    far.close()
    camera.close()


@pytest.mark.parametrize("sent_b", [0, 10, BLOCK_HEADER.size, BLOCK_HEADER.size + 7])
def test_a_connection_that_ends_is_a_camera_that_is_gone(sent_b: int) -> None:
    far, camera = opened()
    far.sendall(wire_of(1)[:sent_b])
    is_nothing_yet = camera.take(0.0) is None
    far.close()

    with pytest.raises(CameraError, match="camera top is gone"):
        camera.take(0.0)
    camera.close()
    camera.close()
    with pytest.raises(CameraError):
        camera.take(0.0)
    assert is_nothing_yet


def test_nobody_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match=r"camera top at .*nowhere cannot be reached"):
        open_virtual_camera(tmp_path / "nowhere", CAMERA, ManualClock())


@pytest.fixture
def server(tmp_path: Path) -> Iterator[CameraServer]:
    opened_server = CameraServer(tmp_path / "camera.sock", ("top", "side"), buffer_blocks=2)
    yield opened_server
    opened_server.close()


def block(number: int) -> CameraBlock:
    return CameraBlock(number, number * 4, 1000 + number, np.full((4, 16, 3), number, np.uint8))


def serve(server: CameraServer, now_ns: int = 0) -> None:
    for _ in range(3):
        server.serve(server.readers(), now_ns)


def test_each_camera_gets_its_own_blocks(server: CameraServer, tmp_path: Path) -> None:
    side = open_virtual_camera(tmp_path / "camera.sock", Camera("side", width_px=16), ManualClock())
    serve(server)
    server.ports[0].offer(block(1), 0)
    server.ports[1].offer(block(2), 0)

    frame = side.take(0.0)

    assert frame is not None
    assert (frame.frame_id, side.take(0.0)) == (2, None)
    assert (server.ports[0].books().absent, server.ports[1].books().sent) == (1, 1)
    assert not server.has_all
    side.close()


def test_the_latest_client_has_the_camera(server: CameraServer, tmp_path: Path) -> None:
    first = open_virtual_camera(tmp_path / "camera.sock", CAMERA, ManualClock())
    serve(server)
    second = open_virtual_camera(tmp_path / "camera.sock", CAMERA, ManualClock())
    serve(server)
    server.ports[0].offer(block(1), 0)

    frame = second.take(0.0)

    assert frame is not None
    with pytest.raises(CameraError):
        first.take(0.0)
    first.close()
    second.close()


@pytest.mark.parametrize("greeting", [b"camera front\n", b"hello\n", b"\xff\xfe\n", b"camera top", b"x" * 4000])
def test_who_names_no_camera_is_sent_away(server: CameraServer, tmp_path: Path, greeting: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(str(tmp_path / "camera.sock"))
        client.sendall(greeting)
        client.shutdown(socket.SHUT_WR)
        serve(server)
        serve(server)
        client.settimeout(1.0)

        try:
            answer = client.recv(10)
        except ConnectionResetError:  # it had not read all that was said
            answer = b""

    assert answer == b""
    assert not server.ports[0].has_connected


def test_a_client_that_vanishes_is_noticed_and_what_waited_is_lost(server: CameraServer, tmp_path: Path) -> None:
    camera = open_virtual_camera(tmp_path / "camera.sock", CAMERA, ManualClock())
    serve(server)
    port = server.ports[0]
    big = CameraBlock(0, 0, 0, np.zeros((4096, 1024, 3), np.uint8))
    for _ in range(4):
        port.offer(big, 0)
    camera.close()
    serve(server)
    books = port.books()

    assert port.client is None
    assert books.passed == 4 == books.sent + books.dropped + books.lost
    assert books.dropped >= 1
    assert books.lost >= 1


def test_the_socket_goes_with_the_server(tmp_path: Path) -> None:
    server = CameraServer(tmp_path / "camera.sock", ("top",))
    server.close()
    server.close()

    assert not (tmp_path / "camera.sock").exists()
    with pytest.raises(StorageError, match="cannot be made"):
        CameraServer(tmp_path / "no" / "such" / "folder", ("top",))
    assert list(tmp_path.iterdir()) == []
