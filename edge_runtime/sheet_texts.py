"""Every text of the machine's pages, in English and Simplified Chinese: a typed catalogue and nothing else."""

from collections.abc import Mapping
from typing import Final

from firmware_bridge.phrase import Phrase

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
    cluster = Phrase("Cluster", "粘连团")
    cluster_note = Phrase("several objects that could not be parted", "多个目标粘连，无法拆开")
    cut_off = Phrase("Cut off", "截断")
    cut_off_note = Phrase("reach out of the view", "超出视野")
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
    frame_unclassified = Phrase("{count} without class", "未分类 {count} 个")
    frame_missed = Phrase("{count} missed", "漏检 {count} 个")
    frame_false = Phrase("{count} found falsely", "误检 {count} 个")

    key_accept = Phrase("accepted: thin", "放行：细线")
    key_eject = Phrase("ejected: thick, with a cross", "剔除：粗线加叉")
    key_person = Phrase("drawn by a person", "人工勾画")
    key_missed = Phrase("drawn, but not found: missed", "有勾画而未找到：漏检")
    key_false = Phrase("found, but not drawn: false", "找到而无勾画：误检")

    crops = Phrase("Crops, class by class", "各类别切片")
    crops_note = Phrase(
        "As the model sees them: everything that is not the object is black. Ejected ones first, in a red frame, and "
        "of these the least certain first: where the best score leads the second by least. Below each the score of its "
        "class; the pointer shows picture, column, row and lead. "
        "What has no class is shown as it lies.",
        "与模型所见一致：目标以外全部涂黑。先列出剔除的（红框），其中最没把握的排在最前，即最高得分与次高得分相差最小者。"
        "切片下方为该类别得分；鼠标停留可看图片名、列、行与领先值。未分类的按原样显示。",
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

    # a proposed recipe
    recipe_title = Phrase("Proposed recipe", "配方建议")
    recipe_lead = Phrase(
        "What these settings find in your frames. Look whether every object has one outline, and nothing else has one; "
        "then replay other frames with them.",
        "以下设置在您的图像中找到的目标。请查看每个目标是否恰有一条轮廓、其他地方是否没有轮廓；然后用其他图像回放验证。",
    )
    recipe_objects_note = Phrase("{each} a frame, {frames} frames", "共 {frames} 帧，每帧 {each} 个")
    median_area = Phrase("Median area", "面积中位数")
    largest = Phrase("Longest side", "最长边")
    largest_note = Phrase("of the largest box", "最大外接框")
    at_border = Phrase("At a border", "触及边缘")
    at_border_note = Phrase("share of objects that may be cut off", "可能被截断的目标所占比例")
    recipe_oversize_note = Phrase("larger than the proposed window", "超出所建议的窗口")
    clearness = Phrase("Clearness", "清晰度")
    clearness_note = Phrase("steepness of outlines by that of the ground", "轮廓陡度与背景陡度之比")
    recipe_frames_note = Phrase("A click makes a frame larger.", "点击图像可放大。")
    key_found = Phrase("object", "目标")
    key_at_border = Phrase("object at a border", "触及边缘的目标")
    recipe_crops = Phrase("What would be cut out", "切片预览")
    recipe_crops_note = Phrase(
        "From the smallest object to the largest, at even ranks, in the window of {window} px. Is the smallest still "
        "an object, and the largest a single one?",
        "按面积从小到大均匀选取，窗口 {window} 像素。最小的还是目标吗？最大的是单个目标吗？",
    )
    levels = Phrase("Levels", "电平")
    levels_note = Phrase(
        "How many pixels have which level, over all frames, logarithmic; the line is the threshold. The table compares "
        "what could be made of each channel.",
        "所有图像中各电平的像素数（对数坐标）；竖线为阈值。下表比较各通道的效果。",
    )
    level_head = Phrase("channel", "通道")
    side_head = Phrase("objects are", "目标")
    side_bright = Phrase("brighter", "较亮")
    side_dark = Phrase("darker", "较暗")
    threshold_head = Phrase("threshold", "阈值")
    contrast_head = Phrase("contrast, levels", "对比（级）")
    reasons = Phrase("Why these values", "取值理由")
    key_head = Phrase("key", "键")
    value_head = Phrase("value", "值")
    why_head = Phrase("why", "理由")
    recipe_file = Phrase("recipe.toml", "recipe.toml")

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
