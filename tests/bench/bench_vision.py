"""Speed of the way from raw frame to decisions, as ratios against its own library calls and against a plain script.

`python tests/bench/bench_vision.py` prints the table. One frame of 2048 x 512 with 300 objects, flat field, masks with
a margin, norm, the middle network. CPU time of one core, all cases in turn, medians.

The plain script does the same stages object by object with batches of one, as a first version would. With a network of
this size onnxruntime takes nine tenths of the time in both, so that no more can be won than the share of the rest: the
row `vision.naive_ceiling` is what a path without any cost but batches of 8 would reach.
"""

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import cv2
import numpy as np
import onnxruntime as ort
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from vision_scene import CLASSES, CROP, RECIPE, SEGMENT, WIDE, Image, draw_field, draw_frame

from edge_runtime.crop import cut_crops
from edge_runtime.inline import desk_machine
from edge_runtime.line_scan import Block, View, join
from edge_runtime.model import Classifier
from edge_runtime.norm import NormSpec, norm_sums
from edge_runtime.pipeline import Classify, Sorter, sort_view
from edge_runtime.processor import processor_kind, sums_may_overflow
from edge_runtime.realtime import LinuxSystem
from edge_runtime.scorer import BATCH
from edge_runtime.segment import Objects, SegmentSettings, levels, segment
from edge_runtime.split import find_objects
from trainer.export.onnx_export import FoldedNetwork, OnnxTemplate
from trainer.export.quantise import Quantiser
from trainer.train.network import make_network

__all__ = ["rows"]

RUNS: Final = 9
OBJECTS: Final = WIDE.objects
HEIGHT: Final = WIDE.height
WIDTH: Final = WIDE.width
NECK: Final = SegmentSettings(threshold=80, split_neck=0.9)
CHROMA: Final = SegmentSettings(channel="chroma")
BACKGROUND: Final = SegmentSettings(channel="background", background=(20, 30, 40))
STRIP: Final = 16


class Scene:
    """A frame, its references, what it holds, and a network; all cases work on it."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.frame = draw_frame(rng, WIDE)
        self.touching, self.huge = _touching(), _huge()
        self.field = draw_field(rng, WIDE)
        self.canvas = join(None, Block(0, self.frame), self.field, pad_px=CROP.pad_px).canvas
        self.objects = segment(self.canvas.pixels, SEGMENT)
        self.crops = cut_crops(self.canvas, self.objects, CROP, SEGMENT)
        network = make_network("middle", CROP.channels, CLASSES, seed=0).eval()
        self.fp32 = OnnxTemplate("middle", CROP, CLASSES).fill(FoldedNetwork(network, 1.0))
        self.int8 = Quantiser(self.fp32, self.crops.pixels[:64]).quantise()

    def path(self, classify: Classify) -> Callable[[], object]:
        """The product's whole way."""
        sorter = Sorter(RECIPE, NormSpec(), desk_machine(WIDTH).cameras[0], classify, self.field)

        def work() -> object:
            lines = join(None, Block(0, self.frame), sorter.flat_field, pad_px=CROP.pad_px)
            return sort_view(View(lines, 0, HEIGHT, is_frame=True), sorter)

        return work


def rows() -> list[dict[str, Any]]:
    """Return one row a figure: name, value, unit, target (None where it is only told), holds."""
    cv2.setNumThreads(1)
    LinuxSystem().keep_heap()  # as open_sorter does
    scene = Scene()
    fp32, int8 = (Classifier(model, CROP, CLASSES).scores for model in (scene.fp32, scene.int8))
    ready = fp32(scene.crops.pixels)
    calls = _library_calls(scene)
    stages = {
        "path_fp32": scene.path(fp32),
        "path_int8": scene.path(int8),
        "front_end": scene.path(lambda _: ready),
        "naive": _naive(scene),
        "bare_int8": _bare(scene.int8, scene.crops.pixels),
        "chroma": lambda: levels(scene.canvas.pixels, CHROMA),
        "background": lambda: levels(scene.canvas.pixels, BACKGROUND),
        "segment": lambda: segment(scene.canvas.pixels, SEGMENT),
        "split_apart": lambda: find_objects(scene.canvas.pixels, NECK),
        "segment_touching": lambda: segment(scene.touching, SEGMENT),
        "split_touching": lambda: find_objects(scene.touching, NECK),
        "split_huge": lambda: find_objects(scene.huge, NECK),
        "crop": lambda: cut_crops(scene.canvas, scene.objects, CROP, SEGMENT),
        "norm": lambda: norm_sums(scene.crops.pixels, scene.crops.masks, NormSpec()),
        "infer": lambda: fp32(scene.crops.pixels),
    }
    times = _interleaved(calls | stages)
    libraries = sum(times[name] for name in calls)
    front = libraries - times["bare_fp32"]
    return [
        _row("vision.path_fp32", OBJECTS / times["path_fp32"], "objects/s", None),
        _row("vision.path_int8", OBJECTS / times["path_int8"], "objects/s", None),
        _row("vision.path_of_libraries", libraries / times["path_fp32"], "ratio", 0.85),
        _row("vision.front_end_of_libraries", front / times["front_end"], "ratio", None),
        _row("vision.path_of_naive", times["naive"] / times["path_fp32"], "ratio", None),
        _row("vision.path_int8_of_naive", times["naive"] / times["path_int8"], "ratio", None),
        _row("vision.naive_ceiling", times["naive"] / times["bare_fp32"], "ratio", None),
        _row("vision.path_of_bare_ort_fp32", times["bare_fp32"] / times["path_fp32"], "ratio", None),
        _row("vision.path_of_bare_ort_int8", times["bare_int8"] / times["path_int8"], "ratio", None),
        _row("vision.split_apart_of_segment", times["split_apart"] / times["segment"], "ratio", None),
        _row("vision.split_touching_of_segment", times["split_touching"] / times["segment_touching"], "ratio", None),
        _row("vision.classifier_of_bare_ort", times["bare_fp32"] / times["infer"], "ratio", 0.90),
        *(_row(f"vision.{name}", 1e3 * times[name], "ms a frame", None) for name in (*calls, *stages)),
    ]


def _library_calls(scene: Scene) -> dict[str, Callable[[], object]]:
    """Return the path's own calls into numpy, OpenCV and onnxruntime, each on inputs that lie ready."""
    pixels, objects, window = scene.canvas.pixels, scene.objects, CROP.window_px
    out = np.empty_like(scene.frame)
    dark = np.repeat(scene.field.dark, STRIP, axis=0)
    gain = np.repeat(scene.field.gain, STRIP, axis=0)
    gray = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    blurred = cv2.medianBlur(gray, SEGMENT.blur_px)
    x, y = _corners(objects)
    free = cv2.copyMakeBorder(objects.foreground, CROP.pad_px, CROP.pad_px, CROP.pad_px, CROP.pad_px, 0, value=255)
    tall = scene.crops.pixels.reshape(-1, window, 3)
    masks = scene.crops.masks.reshape(-1, window).view(np.uint8)
    stack = np.zeros((len(objects) * (window + SEGMENT.mask_margin_px), window), np.uint8)
    offsets = [(CROP.pad_px - left, CROP.pad_px - top) for left, top in zip(x.tolist(), y.tolist(), strict=True)]
    kernel = _kernel()

    def flat_field() -> None:
        for start in range(0, HEIGHT, STRIP):
            below = cv2.subtract(scene.frame[start : start + STRIP], dark)
            cv2.multiply(below, gain, dst=out[start : start + STRIP], dtype=cv2.CV_8U)

    def fill() -> None:
        for contour, offset in zip(objects.contours, offsets, strict=True):
            cv2.drawContours(stack[:window], [contour], -1, 1, cv2.FILLED, offset=offset)

    return {
        "flat_field": flat_field,
        "gray": lambda: cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY),
        "blur": lambda: cv2.medianBlur(gray, SEGMENT.blur_px),
        "threshold": lambda: cv2.threshold(blurred, SEGMENT.threshold, 255, cv2.THRESH_BINARY),
        "contours": lambda: cv2.findContours(objects.foreground, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE),
        "fill": fill,
        "widen": lambda: cv2.dilate(stack, kernel),
        "gather_free": lambda: sliding_window_view(free, (window, window))[y, x],
        "gather": lambda: sliding_window_view(scene.canvas.padded, (window, window, 3))[y, x, 0],
        "clear": lambda: cv2.copyTo(tall, masks),
        "sums": lambda: [cv2.reduce(part.reshape(len(objects), -1), 1, 0, dtype=4) for part in (tall, masks)],
        "bare_fp32": _bare(scene.fp32, scene.crops.pixels),
    }


def _naive(scene: Scene) -> Callable[[], object]:
    """The same stages as a first version would have them: whole-frame labels, one object after the other, batch 1."""
    session = ort.InferenceSession(scene.fp32, _bare_options())
    pad, window = CROP.pad_px, CROP.window_px
    kernel = _kernel()

    def work() -> list[tuple[int, int]]:
        levels = (scene.frame.astype(np.float32) - scene.field.dark) * scene.field.gain
        frame = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
        gray = cv2.medianBlur(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), SEGMENT.blur_px)
        found = cv2.threshold(gray, SEGMENT.threshold, 255, cv2.THRESH_BINARY)[1]
        count, labels, stats, _ = cv2.connectedComponentsWithStats(found)
        padded = cv2.copyMakeBorder(frame, pad, pad, pad, pad, cv2.BORDER_CONSTANT)
        labels = cv2.copyMakeBorder(labels, pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=-1)
        result = []
        for label in range(1, count):
            left, top, width, height, area = stats[label].tolist()
            if area < SEGMENT.min_area_px:
                continue
            part = np.s_[top + height // 2 :, left + width // 2 :]
            own = (labels[part][:window, :window] == label).astype(np.uint8)
            free = labels[part][:window, :window] == 0
            mask = own | (cv2.dilate(own, kernel) & free)
            crop = padded[part][:window, :window] * mask[..., None]
            norm = int(65536 * int(crop.sum()) // (255 * 3 * int(mask.sum())))
            result.append((int(session.run(None, {"crops": crop[None]})[0].argmax()), norm))
        return result

    return work


def _bare(model: bytes, crops: Image) -> Callable[[], object]:
    session = ort.InferenceSession(model, _bare_options())
    batches = [crops[start : start + BATCH] for start in range(0, len(crops), BATCH)]
    return lambda: [session.run(None, {"crops": batch}) for batch in batches]


def _touching() -> Image:
    """Return a frame with 300 discs of 30 px in 25 groups of 12, each touching its neighbours."""
    frame = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for at in range(OBJECTS):
        group, member = divmod(at, 12)
        x = 40 + (group % 13) * 155 + (member % 4) * 29
        y = 40 + (group // 13) * 200 + (member // 4) * 29
        cv2.circle(frame, (x, y), 15, (200, 200, 200), cv2.FILLED)
    return frame


def _huge() -> Image:
    """Return a frame with two discs as high as it is, that touch."""
    frame = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for x in (300, 300 + HEIGHT - 10):
        cv2.circle(frame, (x, HEIGHT // 2), HEIGHT // 2 - 2, (200, 200, 200), cv2.FILLED)
    return frame


def _corners(objects: Objects) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    boxes = objects.boxes_px
    return boxes[:, 0] + boxes[:, 2] // 2, boxes[:, 1] + boxes[:, 3] // 2


def _kernel() -> Image:
    side = 2 * SEGMENT.mask_margin_px + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)


def _bare_options() -> ort.SessionOptions:
    options = ort.SessionOptions()
    if sums_may_overflow(processor_kind()):  # without it INT8 decides wrongly on such a processor (docs/int8.md)
        options.add_session_config_entry("session.x64quantprecision", "1")
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _interleaved(cases: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Return the median CPU seconds of each case, all cases in turn, RUNS times."""
    samples: dict[str, list[float]] = {name: [] for name in cases}
    for run in range(RUNS + 1):
        for name, case in cases.items():
            started = time.process_time()
            case()
            if run:  # the first round warms caches
                samples[name].append(time.process_time() - started)
    return {name: statistics.median(values) for name, values in samples.items()}


def _row(name: str, value: float, unit: str, target: float | None) -> dict[str, Any]:
    holds = None if target is None else value >= target
    return {"name": name, "value": value, "unit": unit, "target": target, "holds": holds}


if __name__ == "__main__":
    from run import table

    sys.stdout.write(table(rows()) + "\n")
