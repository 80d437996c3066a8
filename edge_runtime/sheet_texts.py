"""Every text of the machine's pages, in English and Simplified Chinese: a typed catalogue and nothing else."""

from collections.abc import Mapping
from typing import Final

from edge_runtime.phrases import Phrase

__all__ = ["Say", "same"]


def same(text: str) -> Phrase:
    """Return a text that is the same in both languages: figures, names of files."""
    return Phrase(text, text)


class Say:
    """The catalogue. A name is the key."""

    # a replay
    replay_title = Phrase("Replay", "回放结果")
    replay_lead = Phrase("What the recipe and the model make of {source}.", "配方与模型对 {source} 的处理结果。")
    objects = Phrase("Objects", "目标")
    objects_note = Phrase("in {frames} frames", "共 {frames} 帧")
    ejected = Phrase("Ejected", "剔除")
    ejected_note = Phrase("{share} of the objects", "占目标的 {share}")
    oversize = Phrase("Oversize", "超大")
    oversize_note = Phrase("larger than the window, never classified", "超出切片窗口，不参与分类")
    recall = Phrase("Recall", "召回率")
    recall_note = Phrase("{matched} of {polygons} drawn objects found", "人工勾画 {polygons} 个，找到 {matched} 个")
    precision = Phrase("Precision", "精确率")
    precision_note = Phrase("share of the found objects that a person drew", "找到的目标中人工也勾画的比例")
    overlap = Phrase("Mean overlap", "平均重合度")
    overlap_note = Phrase("intersection over union of the matches", "配对目标的交并比")
    missing = Phrase("Missing pictures", "无法使用的图片")

    frames = Phrase("Frames", "图像帧")
    frames_note = Phrase(
        "{shown} of {frames} frames, evenly chosen. Colour tells the class, weight of the line the action. "
        "A click makes a frame larger.",
        "从 {frames} 帧中均匀选取 {shown} 帧。颜色表示类别，线条粗细表示动作。点击图像可放大。",
    )
    truth_note = Phrase(
        "Yellow is where the machine and the people who drew disagree.", "黄色处为机器与人工勾画不一致。"
    )
    frame_counts = Phrase("{objects} objects, {ejected} ejected", "目标 {objects} 个，剔除 {ejected} 个")
    frame_oversize = Phrase("{count} oversize", "超大 {count} 个")
    frame_missed = Phrase("{count} missed", "漏检 {count} 个")
    frame_false = Phrase("{count} found falsely", "误检 {count} 个")

    key_accept = Phrase("accepted: thin", "放行：细线")
    key_eject = Phrase("ejected: thick, with a cross", "剔除：粗线加叉")
    key_oversize = Phrase("oversize", "超大")
    key_person = Phrase("drawn by a person", "人工勾画")
    key_missed = Phrase("drawn, but not found: missed", "有勾画而未找到：漏检")
    key_false = Phrase("found, but not drawn: false", "找到而无勾画：误检")

    crops = Phrase("Crops, class by class", "各类别切片")
    crops_note = Phrase(
        "As the model sees them: everything that is not the object is black. Ejected ones first, in a red frame, and "
        "of these the least certain first: where the best score leads the second by least. Below each the score of its "
        "class; the pointer shows picture, column, row and lead.",
        "与模型所见一致：目标以外全部涂黑。先列出剔除的（红框），其中最没把握的排在最前，即最高得分与次高得分相差最小者。"
        "切片下方为该类别得分；鼠标停留可看图片名、列、行与领先值。",
    )
    count_objects = Phrase("{count} objects", "{count} 个目标")
    more = Phrase("and {count} more", "另有 {count} 个")
    lead = Phrase("lead {margin}", "领先 {margin}")
    eject_mark = Phrase("ejected", "剔除")

    times = Phrase("Where the time goes", "各环节耗时")
    times_note = Phrase(
        "Processor time of this replay on this computer, without drawing this page. A machine's camera replaces the "
        "first row; its other rows are the same code.",
        "本次回放在本机上占用的处理器时间，不含生成本页。实际机器上第一行由相机代替，其余各行为同一份程序。",
    )
    stage_head = Phrase("stage", "环节")
    share_head = Phrase("share", "占比")
    median_head = Phrase("median a frame", "每帧中位数")
    p99_head = Phrase("99th percentile", "第 99 百分位")
    model_foot = Phrase("model", "模型")
    decisions_foot = Phrase("decisions", "判定摘要")

    _stages: Final[Mapping[str, Phrase]] = {
        "read": Phrase("read the picture", "读取图片"),
        "flat_field": Phrase("flat field", "平场校正"),
        "segment": Phrase("segment", "分割"),
        "split": Phrase("part what touches", "拆分粘连"),
        "measure": Phrase("measure and sort out", "测量与筛别"),
        "crop": Phrase("crop", "切片"),
        "norm": Phrase("norm", "范数"),
        "infer": Phrase("infer", "推理"),
        "decide": Phrase("decide", "判定"),
        "schedule": Phrase("schedule", "喷吹排程"),
    }

    @classmethod
    def stage(cls, name: str) -> Phrase:
        """Return what a stage is called, its own name where nothing else is known."""
        return cls._stages.get(name, same(name))
