"""What `sortloop-edge doctor` can find, in words: a catalogue and nothing else. `doctor` has the rules.

>>> TEXTS["camera_missing"].what.filled(camera="top", source="v4l2:/dev/video7", videos="none").en
'Camera top: v4l2:/dev/video7 is not there; video devices: none.'
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from firmware_bridge.phrase import Phrase

__all__ = ["TEXTS", "CheckText"]


class CheckText(NamedTuple):
    """What was found, and what to do; nothing where all is well."""

    what: Phrase
    remedy: Phrase = Phrase("", "")


_CALIBRATE: Final = Phrase(
    "Record with lamps off and over white, then `sortloop-edge calibrate`.",
    "分别在关灯和白板下录制，然后运行 `sortloop-edge calibrate`。",
)
_MODEL: Final = Phrase(
    "Copy the whole folder again, then `sortloop-edge check --model {path}`.",
    "重新复制整个文件夹，然后运行 `sortloop-edge check --model {path}`。",
)
_UNIT: Final = Phrase(
    "As a service it has its own limits (the unit gives {limit}); by hand, run as root or raise the limit.",
    "作为服务运行时使用服务单元的限制（{limit}）；手动运行时请用 root 或提高限制。",
)
_STATE: Final = Phrase(
    "Export and release records (`sortloop-edge residual export`), delete old recordings, or name another live.state.",
    "导出并释放记录（`sortloop-edge residual export`），删除旧录像，或更换 live.state。",
)
_FLIGHT: Final = Phrase(
    "Lower frame_lines or belt_mm_s, or move the camera away from the valves (to_valves_mm).",
    "减小 frame_lines 或 belt_mm_s，或让相机离喷阀更远（to_valves_mm）。",
)
_FLIGHT_WHAT: Final = Phrase(
    "Camera {camera}: {flight} ms to the valves - {block} ms a block - {lead} ms lead = {room} ms to sort",
    "相机 {camera}：到喷阀 {flight} 毫秒 - 每块 {block} 毫秒 - 提前量 {lead} 毫秒 = 分选可用 {room} 毫秒",
)


def _flight(en: str, zh_cn: str) -> Phrase:
    return Phrase(_FLIGHT_WHAT.en + en, _FLIGHT_WHAT.zh_cn + zh_cn)


TEXTS: Final[Mapping[str, CheckText]] = {
    "machine_ok": CheckText(
        Phrase("Machine {name}: cameras {cameras}, lanes {lanes}.", "机器 {name}：相机 {cameras} 个，通道 {lanes} 个。")
    ),
    "machine_wrong": CheckText(
        Phrase("The machine file is wrong: {error}", "机器文件有误：{error}"),
        Phrase(
            "Correct the named key, see docs/config-reference.md; nothing else was looked at.",
            "请按 docs/config-reference.md 修正该项；其余未检查。",
        ),
    ),
    "run_answers": CheckText(
        Phrase(
            "A run of {name} is going on; its port and cameras were left alone.",
            "{name} 正在运行；未触碰其端口和相机。",
        )
    ),
    "model_ok": CheckText(Phrase("Model {id} runs as {form}.", "模型 {id}，运行方式：{form}。")),
    "model_untuned": CheckText(
        Phrase("Model {id} runs as {form}.", "模型 {id}，运行方式：{form}。"),
        Phrase("`sortloop-edge tune --model {path}`", "运行 `sortloop-edge tune --model {path}`"),
    ),
    "model_wrong": CheckText(Phrase("The model cannot be used: {error}", "模型无法使用：{error}"), _MODEL),
    "camera_ok": CheckText(Phrase("Camera {camera}: {source} is there.", "相机 {camera}：{source} 存在。")),
    "camera_unasked": CheckText(
        Phrase(
            "Camera {camera}: whether {source} is there, only the run itself will tell.",
            "相机 {camera}：{source} 是否存在，运行时才能知道。",
        )
    ),
    "camera_none": CheckText(
        Phrase(
            "Camera {camera} has no source; video devices: {videos}.",
            "相机 {camera} 未设置 source；视频设备：{videos}。",
        ),
        Phrase(
            'Connect it in the machine file: source = "v4l2:/dev/video0".',
            '在机器文件中设置：source = "v4l2:/dev/video0"。',
        ),
    ),
    "camera_unknown": CheckText(
        Phrase("Camera {camera}: {source} is no source.", "相机 {camera}：{source} 不是有效的 source。"),
        Phrase(
            "Use v4l2:PATH, genicam:ID, replay:PATH or virtual:PATH.",
            "请使用 v4l2:PATH、genicam:ID、replay:PATH 或 virtual:PATH。",
        ),
    ),
    "camera_missing": CheckText(
        Phrase(
            "Camera {camera}: {source} is not there; video devices: {videos}.",
            "相机 {camera}：{source} 不存在；视频设备：{videos}。",
        ),
        Phrase("Check cable and power; correct `source`.", "检查电缆和电源；修正 `source`。"),
    ),
    "camera_denied": CheckText(
        Phrase("Camera {camera}: this user may not use {source}.", "相机 {camera}：当前用户无权使用 {source}。"),
        Phrase(
            "Give this user the right; for /dev/video: `sudo usermod -aG video $USER`, then log out and in again.",
            "授予该用户权限；对于 /dev/video：运行 `sudo usermod -aG video $USER` 后重新登录。",
        ),
    ),
    "calibration_ok": CheckText(Phrase("Camera {camera} is calibrated.", "相机 {camera} 已校准。")),
    "calibration_none": CheckText(Phrase("Camera {camera} is not calibrated.", "相机 {camera} 未校准。"), _CALIBRATE),
    "calibration_wrong": CheckText(
        Phrase("The references of camera {camera} are wrong: {error}", "相机 {camera} 的校准数据有误：{error}"),
        _CALIBRATE,
    ),
    "flight_ok": CheckText(_flight(".", "。")),
    "flight_tight": CheckText(
        _flight(": less than three blocks.", "：不足三块的时间。"),
        Phrase(
            "Measure with `sortloop-edge replay`. " + _FLIGHT.en,
            "用 `sortloop-edge replay` 测量。" + _FLIGHT.zh_cn,
        ),
    ),
    "flight_short": CheckText(_flight(": it can never be armed.", "：永远无法启用喷阀。"), _FLIGHT),
    "port_none": CheckText(
        Phrase("The machine file names no port of the controller.", "机器文件未指定控制器端口。"),
        Phrase(
            'port = "/dev/sortloop/ejector"; `sortloop-link ports` lists what is there.',
            'port = "/dev/sortloop/ejector"；用 `sortloop-link ports` 查看现有端口。',
        ),
    ),
    "priority_ok": CheckText(Phrase("Real-time priority {priority} is granted.", "实时优先级 {priority} 可用。")),
    "priority_off": CheckText(
        Phrase("live.priority is 0: other programs delay the sorting.", "live.priority 为 0：其他程序会延误分选。"),
        Phrase("Set live.priority = 50.", "设置 live.priority = 50。"),
    ),
    "priority_refused": CheckText(
        Phrase("Real-time priority is refused: {error}.", "实时优先级被拒绝：{error}。"),
        _UNIT.filled(limit="LimitRTPRIO=99"),
    ),
    "memlock_ok": CheckText(Phrase("Memory may be locked.", "允许锁定内存。")),
    "memlock_low": CheckText(
        Phrase(
            "Only {limit_mb} MiB of memory may be locked: pages may be missing when they are needed.",
            "只允许锁定 {limit_mb} MiB 内存：需要时页面可能不在内存中。",
        ),
        _UNIT.filled(limit="LimitMEMLOCK=infinity"),
    ),
    "memory_ok": CheckText(
        Phrase("The frame rings take {rings_mb} MiB of {free_mb} MiB.", "帧缓冲环占用 {rings_mb} / {free_mb} MiB。")
    ),
    "memory_low": CheckText(
        Phrase(
            "The frame rings take {rings_mb} MiB of {free_mb} MiB: little is left for models.",
            "帧缓冲环占用 {rings_mb} / {free_mb} MiB：留给模型的内存不足。",
        ),
        Phrase("Lower live.ring_frames, or end other programs.", "减小 live.ring_frames，或结束其他程序。"),
    ),
    "memory_short": CheckText(
        Phrase(
            "The frame rings need {rings_mb} MiB, {free_mb} MiB are there.",
            "帧缓冲环需要 {rings_mb} MiB，只有 {free_mb} MiB。",
        ),
        Phrase("Lower live.ring_frames, or end other programs.", "减小 live.ring_frames，或结束其他程序。"),
    ),
    "cores_ok": CheckText(
        Phrase("{cores} cores for {wanted} busy processes.", "{cores} 个核心，{wanted} 个繁忙进程。")
    ),
    "cores_few": CheckText(
        Phrase(
            "{cores} cores for {wanted} busy processes: frames wait for each other.",
            "{cores} 个核心，{wanted} 个繁忙进程：帧会互相等待。",
        ),
        Phrase("Lower live.workers, or use a board with more cores.", "减小 live.workers，或使用核心更多的主板。"),
    ),
    "cores_missing": CheckText(
        Phrase("Cores {names} of [live] are not there.", "[live] 中的核心 {names} 不存在。"),
        Phrase("Cores here: {there}.", "本机核心：{there}。"),
    ),
    "state_ok": CheckText(Phrase("{path}: {free_mb} MiB are free.", "{path}：剩余 {free_mb} MiB。")),
    "state_low": CheckText(Phrase("{path}: only {free_mb} MiB are free.", "{path}：仅剩 {free_mb} MiB。"), _STATE),
    "state_full": CheckText(
        Phrase("{path}: {free_mb} MiB are free: nothing can be recorded.", "{path}：剩余 {free_mb} MiB，无法记录。"),
        _STATE,
    ),
    "state_denied": CheckText(
        Phrase("This user may not write to {path}.", "当前用户无权写入 {path}。"),
        Phrase("Give it to the user that sorts, or name another live.state.", "授权给运行用户，或更换 live.state。"),
    ),
    "clock_ok": CheckText(Phrase("Clock source {source}.", "时钟源 {source}。")),
    "clock_slow": CheckText(
        Phrase(
            "Clock source {source}: each look at the clock takes microseconds.",
            "时钟源 {source}：每次读取时钟需要数微秒。",
        ),
        Phrase(
            "Look into `dmesg` why the processor's own clock was given up; update the BIOS.",
            "查看 `dmesg` 中弃用处理器时钟的原因；更新 BIOS。",
        ),
    ),
    "governor_ok": CheckText(Phrase("The cores keep their frequency ({names}).", "核心频率稳定（{names}）。")),
    "governor_slow": CheckText(
        Phrase("The cores change their frequency ({names}).", "核心频率会变化（{names}）。"),
        Phrase("`cpupower frequency-set -g performance`", "运行 `cpupower frequency-set -g performance`"),
    ),
    "metrics_ok": CheckText(Phrase("Metrics and status at 127.0.0.1:{port}.", "指标与状态：127.0.0.1:{port}。")),
    "metrics_off": CheckText(
        Phrase("live.metrics_port is 0: no metrics, no status.", "live.metrics_port 为 0：没有指标和状态。")
    ),
    "metrics_busy": CheckText(
        Phrase("No metrics and no status: {error}", "没有指标和状态：{error}"),
        Phrase("Choose another live.metrics_port; sorting does without.", "更换 live.metrics_port；不影响分选。"),
    ),
}
