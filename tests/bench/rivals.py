"""One way from raw frame to classes, timed frame by frame: python rivals.py NAME FOLDER, asked by rivals_table.py.

Except for sortloop's own, every way is the script that a person would write: whole-frame labels, one object after the
other, no norms, no pulses; it imports only what it needs, so that its memory is its own. One thread each.
"""

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from children import serve
from numpy.typing import NDArray
from tables import memory_kib

Image = NDArray[np.uint8]
Scores = NDArray[np.float32]
Classify = Callable[[Image], Scores]
Found = list[tuple[int, int, int]]  # left, top and class of each object
Way = Callable[[Image], Found]

BATCH: Final = 16  # of 1, 8, 16 and 64 the one at which each of the libraries is at its best or within 3 % of it
WARM_UP: Final = 5
# The recipe of vision_scene.py once more: importing it would bring sortloop into the memory of every rival.
THRESHOLD: Final = 80
BLUR_PX: Final = 3
LEAST_AREA_PX: Final = 40
MARGIN_PX: Final = 2
WINDOW_PX: Final = 48
HALVED: Final = (
    True,
    False,
    True,
    False,
    True,
    False,
)  # which convolutions of the middle network are followed by a maximum


class PlainWay:
    """Flat field, threshold, labels, then one object after the other into a stack of crops, then the library."""

    def __init__(self, folder: Path, classify: Classify, batch: int) -> None:
        self._dark, self._gain = np.load(folder / "dark.npy"), np.load(folder / "gain.npy")
        self._classify = classify
        self._batch = batch
        side = 2 * MARGIN_PX + 1
        self._kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))

    def __call__(self, raw: Image) -> Found:
        """Return what is found in a raw frame (H, W, 3)."""
        levels = (raw.astype(np.float32) - self._dark) * self._gain
        places, crops = self._cut(np.clip(np.rint(levels), 0, 255).astype(np.uint8))
        parts = [self._classify(crops[at : at + self._batch]) for at in range(0, len(crops), self._batch)]
        class_ids = np.concatenate(parts).argmax(axis=1).tolist()
        return [(left, top, class_id) for (left, top), class_id in zip(places, class_ids, strict=True)]

    def _cut(self, frame: Image) -> tuple[list[tuple[int, int]], Image]:
        pad = WINDOW_PX // 2
        gray = cv2.medianBlur(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), BLUR_PX)
        found = cv2.threshold(gray, THRESHOLD, 255, cv2.THRESH_BINARY)[1]
        count, labels, stats, _ = cv2.connectedComponentsWithStats(found)
        padded = cv2.copyMakeBorder(frame, pad, pad, pad, pad, cv2.BORDER_CONSTANT)
        labels = cv2.copyMakeBorder(labels, pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=-1)
        places, crops = [], []
        for label in range(1, count):
            left, top, width, height, area = stats[label].tolist()
            if area < LEAST_AREA_PX:
                continue
            window = np.s_[top + height // 2 :, left + width // 2 :]
            around = labels[window][:WINDOW_PX, :WINDOW_PX]
            own = (around == label).astype(np.uint8)
            mask = own | (cv2.dilate(own, self._kernel) & (around == 0))
            places.append((left, top))
            crops.append(padded[window][:WINDOW_PX, :WINDOW_PX] * mask[..., None])
        return places, np.stack(crops)


def own_way(folder: Path) -> Way:
    """Return sortloop's way, norms and pulses included."""
    from vision_scene import own_sorter, read_scene  # noqa: PLC0415 - each way imports only its own libraries

    sorter = own_sorter(read_scene(folder))

    def work(raw: Image) -> Found:
        decisions = sorter.sort_frame(raw).decisions
        tops = decisions.boxes_px[:, 1] % len(raw)  # lines count on from frame to frame
        return list(zip(decisions.boxes_px[:, 0].tolist(), tops.tolist(), decisions.class_ids.tolist(), strict=True))

    return work


def by_onnxruntime(folder: Path) -> Classify:
    """Return the network in onnxruntime."""
    import onnxruntime  # noqa: PLC0415

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(folder / "model.onnx", options)
    return lambda crops: np.asarray(session.run(None, {"crops": crops})[0], np.float32)


def by_opencv(folder: Path) -> Classify:
    """Return the network in OpenCV's dnn module."""
    network = cv2.dnn.readNetFromONNX(str(folder / "model.onnx"))

    def classify(crops: Image) -> Scores:
        network.setInput(crops, "crops")
        return np.asarray(network.forward("scores"), np.float32)

    return classify


def by_openvino(folder: Path) -> Classify:
    """Return the network in OpenVINO, which may be on PYTHONPATH."""
    import openvino  # noqa: PLC0415

    settings = {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY"}
    request = openvino.compile_model(folder / "model.onnx", "CPU", settings).create_infer_request()
    return lambda crops: np.array(request.infer({"crops": crops})["scores"], np.float32)


def by_torch(folder: Path) -> Classify:
    """Return the network in torch, batch norm folded as in the exported file, channels last."""
    import torch  # noqa: PLC0415
    from torch.nn import functional  # noqa: PLC0415

    torch.set_num_threads(1)
    with np.load(folder / "weights.npz") as arrays:
        weights = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    last = torch.channels_last
    kernels = [weights[f"convolutions.{i}.weight"].contiguous(memory_format=last) for i in range(len(HALVED))]
    biases = [weights[f"convolutions.{i}.bias"] for i in range(len(HALVED))]

    def classify(crops: Image) -> Scores:
        with torch.inference_mode():
            pixels = torch.from_numpy(crops).permute(0, 3, 1, 2).float()  # channels last as it comes
            for kernel, bias, is_halved in zip(kernels, biases, HALVED, strict=True):
                pixels = torch.relu(functional.conv2d(pixels, kernel, bias, padding=1))
                pixels = functional.max_pool2d(pixels, 2) if is_halved else pixels
            seen = torch.cat((pixels.mean(dim=(2, 3)), pixels.amax(dim=(2, 3))), dim=1)
            logits = functional.linear(seen, weights["head.weight"], weights["head.bias"])
            return np.asarray(torch.softmax(logits, dim=1).numpy(), np.float32)

    return classify


WAYS: Final[dict[str, Callable[[Path], Way]]] = {
    "sortloop": own_way,
    "onnxruntime-1": lambda folder: PlainWay(folder, by_onnxruntime(folder), 1),
    "onnxruntime": lambda folder: PlainWay(folder, by_onnxruntime(folder), BATCH),
    "openvino": lambda folder: PlainWay(folder, by_openvino(folder), BATCH),
    "torch": lambda folder: PlainWay(folder, by_torch(folder), BATCH),
    "opencv": lambda folder: PlainWay(folder, by_opencv(folder), BATCH),
}


def main(name: str, folder: Path) -> None:
    """Serve {"frames": N}: wall and CPU ns of each, and {"frames": 0}: what is found in every frame, and memory."""
    cv2.setNumThreads(1)
    with suppress(PermissionError):
        os.nice(-20)
    frames, way = np.load(folder / "frames.npy"), WAYS[name](folder)
    for number in range(WARM_UP):
        way(frames[number % len(frames)])

    def answer(question: dict[str, int]) -> dict[str, Any]:
        rows = [timed(way, frames[number % len(frames)]) for number in range(question["frames"])]
        return {"rows": rows, "memory_kib": memory_kib()}

    def found(_: object) -> dict[str, Any]:
        return {"found": [sorted(way(frame)) for frame in frames]}

    serve(lambda question: answer(question) if question["frames"] else found(question))


def timed(way: Way, frame: Image) -> tuple[int, int]:
    """Return wall and CPU nanoseconds of one frame."""
    started_ns, cpu_ns = time.monotonic_ns(), time.process_time_ns()
    way(frame)
    return time.monotonic_ns() - started_ns, time.process_time_ns() - cpu_ns


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
