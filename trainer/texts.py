"""Every text of the trainer's pages, in English and Simplified Chinese: a typed catalogue and nothing else.

>>> Phrase("{count} samples", "{count} 个样本").filled(count=3).text("zh-CN")
'3 个样本'
"""

from dataclasses import dataclass
from html import escape
from typing import Final, Literal

__all__ = ["LANGUAGES", "Language", "Phrase", "Say"]

Language = Literal["en", "zh-CN"]
LANGUAGES: Final[tuple[Language, ...]] = ("en", "zh-CN")


@dataclass(frozen=True, slots=True)
class Phrase:
    """One text in both languages; `{name}` stands for a value that `filled` puts in."""

    en: str
    zh_cn: str

    def text(self, language: Language) -> str:
        """Return the text in one language."""
        return self.en if language == "en" else self.zh_cn

    def both(self) -> str:
        """Return both texts in one line, or the one text where they are equal: for tooltips."""
        return self.en if self.en == self.zh_cn else f"{self.en} / {self.zh_cn}"

    def filled(self, **values: "str | int | Phrase") -> "Phrase":
        """Return the phrase with values in place of their names; a phrase gives its own language.

        Raises:
            KeyError: a name in the text has no value: the caller is wrong.
        """
        en = {name: value.en if isinstance(value, Phrase) else value for name, value in values.items()}
        zh_cn = {name: value.zh_cn if isinstance(value, Phrase) else value for name, value in values.items()}
        return Phrase(self.en.format(**en), self.zh_cn.format(**zh_cn))

    def __html__(self) -> str:
        """Return both texts for a page that shows one of them; the templates call it."""
        return self._marked("span")

    def tspans(self) -> str:
        """Return both texts for the inside of an SVG text."""
        return self._marked("tspan")

    def _marked(self, tag: str) -> str:
        if self.en == self.zh_cn:
            return escape(self.en)
        return (
            f'<{tag} class="en" lang="en">{escape(self.en)}</{tag}>'
            f'<{tag} class="zh" lang="zh-CN">{escape(self.zh_cn)}</{tag}>'
        )


class Say:
    """The catalogue. A name is the key; templates write `{{ say.name }}`."""

    # the report of a run
    run_title = Phrase("Training run", "训练报告")
    run_lead = Phrase(
        "The loop trained on {training} of {pool} samples ({share}) in {rounds} rounds and shipped the training set of "
        "round {best}.",
        "循环共 {rounds} 轮，从 {pool} 个样本中只用了 {training} 个（{share}）参与训练，最终采用第 {best} 轮的训练集。",
    )
    why_stopped = Phrase("Why it stopped: {reason}.", "停止原因：{reason}。")
    residual_small = Phrase(
        "the residual, the samples that the model still gets wrong, is as small as was asked for",
        "残差样本（模型仍判错的样本）已少到设定值",
    )
    classes_small = Phrase(
        "in every class the share of samples still wrong is as small as was asked for",
        "每个类别中仍判错的比例都已降到设定值",
    )
    no_gain = Phrase(
        "further rounds no longer made the validation figures better by more than their standard error",
        "继续训练，验证指标的提高已不超过一个标准误差",
    )
    nothing_left = Phrase("nothing was left to draw from the residual", "残差样本集中已没有可抽取的样本")
    rounds_budget = Phrase("the budget of rounds was used up", "达到轮数上限")
    samples_budget = Phrase("the budget of training samples was used up", "训练集达到样本数上限")
    continued = Phrase("Continued from run {key}.", "接续训练 {key}。")

    macro_f1 = Phrase("macro-F1", "宏平均 F1")
    worst_recall = Phrase("worst class recall", "最差类别召回率")
    validation_tile = Phrase("Validation macro-F1", "验证集宏平均 F1")
    test_tile = Phrase("Held-out test macro-F1", "留出测试集宏平均 F1")
    test_note = Phrase(
        "looked at once, {count} samples; worst class recall {recall}",
        "只测一次，共 {count} 个样本；最差类别召回率 {recall}",
    )
    on_split = Phrase("{count} validation samples set aside by group", "按组留出的 {count} 个验证样本")
    on_folds = Phrase(
        "{count} samples, each judged by a model that never saw its group (5 folds)",
        "{count} 个样本，五折交叉验证，同组样本不参与训练",
    )
    worst_tile = Phrase("Worst class recall", "最差类别召回率")
    worst_note = Phrase("on validation samples: {name}", "验证集，类别：{name}")
    used_tile = Phrase("Samples used", "使用样本")
    used_note = Phrase("{training} of {pool} in the pool", "样本池 {pool} 个，使用 {training} 个")
    rounds_tile = Phrase("Rounds", "轮数")
    rounds_note = Phrase("round {best} ships", "采用第 {best} 轮")
    parity_tile = Phrase("Same decision on the machine", "上机判定一致")
    parity_note = Phrase(
        "torch and onnxruntime; largest difference of a score {difference}",
        "torch 与 onnxruntime 逐一比对；得分最大差 {difference}",
    )

    rounds_heading = Phrase("Round by round", "逐轮变化")
    rounds_text = Phrase(
        "Each round draws samples around the class means from those still wrong, trains afresh, and tests all others "
        "again. The upright line marks the round that ships.",
        "每一轮都在仍判错的样本中、围绕各类别范数均值抽取样本，重新训练，再复测其余全部样本。竖线为最终采用的轮次。",
    )
    f1_chart = Phrase("Macro-F1 on validation, with one standard error", "验证集宏平均 F1（色带为一个标准误差）")
    worst_chart = Phrase("Worst class recall on validation", "验证集最差类别召回率")
    recalls_chart = Phrase("Recall of each class on validation", "验证集各类别召回率")
    residual_chart = Phrase("Residual: samples still wrong", "残差样本数（仍判错）")
    training_chart = Phrase("Training set, samples", "训练集样本数")
    balance_chart = Phrase("Imbalance: largest to smallest class", "类别不均衡度（最大类∶最小类）")
    training_set = Phrase("training set", "训练集")
    whole_pool = Phrase("whole pool", "整个样本池")
    steering_note = Phrase(
        "Pool accuracy steers the loop and is no test score: the loop picks its training set by it.",
        "样本池准确率只用于引导循环，不是测试成绩：训练集正是据此挑选的。",
    )
    rounds_table = Phrase("Every round in figures", "各轮数据")
    round_column = Phrase("round", "轮次")
    drawn_column = Phrase("drawn", "抽取")
    training_column = Phrase("training set", "训练集")
    residual_column = Phrase("residual", "残差样本")
    pool_accuracy_column = Phrase("pool accuracy", "样本池准确率")
    error_column = Phrase("± standard error", "± 标准误差")

    norms_heading = Phrase("Drawn around the mean", "围绕均值抽样")
    norms_text = Phrase(
        "The norm of a sample is the weighted mean of its own pixels. Grey: all samples of the class in the pool, with "
        "their mean. Below, one row a round: the samples drawn, at or above the mean of those still wrong (▲) or below "
        "it (▼). The first draw hugs the mean; later ones follow the mistakes.",
        "样本的范数是其自身像素的加权平均。灰色为该类别在样本池中的全部样本，竖线为均值。下方每轮一行，为该轮抽取的样本："
        "▲ 不小于仍判错样本的均值，▼ 小于均值。第一轮紧靠均值，此后随误判样本移动。",
    )
    above_word = Phrase("at or above the mean", "不小于均值")
    below_word = Phrase("below the mean", "小于均值")
    norms_chart = Phrase("Norms of class {name}, and the samples drawn", "类别 {name} 的范数分布与抽取样本")
    norms_caption = Phrase("{drawn} drawn of {pool}", "{pool} 个中抽取 {drawn} 个")

    classes_heading = Phrase("Classes", "各类别")
    classes_text = Phrase(
        "Pool, training set and residual at round {best}; precision and recall of the shipped model on validation.",
        "样本池、训练集与残差样本取自第 {best} 轮；精确率与召回率为交付模型在验证集上的结果。",
    )
    class_column = Phrase("class", "类别")
    pool_column = Phrase("pool", "样本池")
    share_column = Phrase("share used", "使用比例")
    precision_column = Phrase("precision", "精确率")
    recall_column = Phrase("recall", "召回率")

    confusion_heading = Phrase("What is taken for what", "混淆矩阵")
    confusion_text = Phrase(
        "Rows: true class. Columns: what the model says. Mistakes are drawn four times as strong as hits.",
        "行：真实类别；列：模型判定。误判颜色按四倍强度显示。",
    )
    confusion_validation = Phrase("Validation", "验证集")
    confusion_test = Phrase("Held-out test, looked at once", "留出测试集（只测一次）")

    crops_heading = Phrase("Samples", "样本图像")
    crops_text = Phrase(
        "As the model sees them: the object's own pixels, everything else 0. The triangle says which side of the mean.",
        "与模型所见一致：只保留物料自身像素，其余为 0。三角表示在均值的哪一侧。",
    )
    first_drawn = Phrase("Drawn first", "首轮抽取")
    still_wrong = Phrase("Still wrong after round {best}", "第 {best} 轮后仍判错")
    still_wrong_text = Phrase(
        "True class → what the model of that round says. Some may be labelled wrong rather than judged wrong: look "
        "here first.",
        "真实类别 → 该轮模型的判定。其中可能有标签标错的样本，请先从这里核对。",
    )
    none_wrong = Phrase(
        "None: the model of that round gets every sample of the pool right.", "无：该轮模型对样本池全部判对。"
    )
    more = Phrase("and {count} more", "另有 {count} 个")

    settings_heading = Phrase("Settings and lineage", "设置与来历")
    draw_lineage = Phrase(
        "m = {m} samples a class and round: a = {a} at or above the mean, b = {b} below",
        "每类每轮抽取 m = {m} 个：不小于均值 a = {a} 个，小于均值 b = {b} 个",
    )
    run_key_label = Phrase("Run key", "运行标识")
    model_label = Phrase("Model", "模型")
    pool_label = Phrase("Pool digest", "样本池摘要")
    draw_label = Phrase("Draw", "抽样")
    seed_label = Phrase("Seed", "随机种子")
    fit_label = Phrase("Fit that ships", "交付的训练")
    fit_final = Phrase("the longer final fit", "较长的最终训练")
    fit_round = Phrase(
        "the round's own: the longer one was worse on validation", "该轮训练：较长的最终训练在验证集上更差"
    )
    calibration_label = Phrase("Calibration", "得分校准")
    calibration_value = Phrase(
        "temperature {temperature}, error of the scores {error}", "温度 {temperature}，校准误差 {error}"
    )
    processor_label = Phrase("Processor", "处理器")
    versions_label = Phrase("Versions", "软件版本")
