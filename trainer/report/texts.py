"""Every text of the trainer's pages, in English and Simplified Chinese: a typed catalogue and nothing else.

>>> Phrase("{count} samples", "{count} 个样本").filled(count=3).text("zh-CN")
'3 个样本'
"""

from firmware_bridge.phrase import LANGUAGES, Language, Phrase, joined

__all__ = ["LANGUAGES", "Language", "Phrase", "Say", "joined"]


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
    steps_budget = Phrase("the budget of optimiser steps was used up", "优化步数达到上限")
    seconds_budget = Phrase("the budget of time was used up", "训练时间达到上限")
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
    parity_tile = Phrase("Decisions equal after export", "导出后判定一致")
    parity_note = Phrase(
        "torch and onnxruntime; largest difference of a score {difference}",
        "torch 与 onnxruntime 逐一比对；得分最大差 {difference}",
    )

    rounds_heading = Phrase("Round by round", "逐轮变化")
    rounds_text = Phrase(
        "Each round draws samples around the class means from those still wrong, trains afresh, and tests all others "
        "again. The upright line marks the round whose training set ships. These are the rounds' own short fits; the "
        "headline figures are the shipped model's.",
        "每一轮都在仍判错的样本中、围绕各类别范数均值抽取样本，重新训练，再复测其余全部样本。竖线为最终采用其训练集的轮次。"
        "曲线为各轮短训练的结果，页首数据为交付模型的结果。",
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
        "their mean. Below, one row a round: the samples drawn around the mean of those still wrong. The first draw "
        "hugs the class mean; later ones follow the mistakes.",
        "样本的范数是其自身像素的加权平均。灰色为该类别在样本池中的全部样本，竖线为均值。"
        "下方每轮一行，为围绕仍判错样本的均值抽取的样本。第一轮紧靠类别均值，此后随误判样本移动。",
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
        "Rows: true class. Columns: what the model says. Mistakes are drawn four times as strong as hits. A click on a "
        "mistake leads to its samples.",
        "行：真实类别；列：模型判定。误判颜色按四倍强度显示。点击误判单元格可查看样本。",
    )
    mix_ups_validation = Phrase("Mistakes on validation: label → what the model says", "验证集误判：标签 → 模型判定")
    mix_ups_test = Phrase(
        "Mistakes on the held-out test: label → what the model says", "留出测试集误判：标签 → 模型判定"
    )
    mix_ups_text = Phrase(
        "Samples behind the mistakes, the fullest cells first. Below each picture stands the sample's id, cut short.",
        "误判样本，数量多的在前。图下为样本编号的前几位。",
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
    held_heading = Phrase("Held back: the models contradict the label", "已隔离：模型与标签相矛盾")
    held_text = Phrase(
        "Label → what the models see instead, and how likely the label is wrong. What is held back is neither trained "
        "on nor drawn; a person decides (quarantine.csv).",
        "标签 → 模型认为的类别及标签有误的可能性。被隔离的样本不参与训练，也不抽取，由人工裁定（quarantine.csv）。",
    )
    none_held = Phrase("None.", "无。")
    unwatched = Phrase("Nobody looked: the quarantine was off.", "未检查：隔离功能已关闭。")
    cost_label = Phrase("Cost of the rounds", "各轮代价")
    cost_value = Phrase(
        "{steps} optimiser steps that looked at {visits} samples", "{steps} 个优化步，共处理 {visits} 个样本次"
    )
    noise_label = Phrase("Wrong labels, estimated", "错误标签（估计）")
    int8_label = Phrase("INT8 model", "INT8 模型")
    int8_ships = Phrase(
        "ships: {changed} of {samples} decisions differ, macro-F1 {before} before and {after} after",
        "随模型交付：{samples} 个判定中 {changed} 个不同，宏 F1 由 {before} 变为 {after}",
    )
    int8_refused = Phrase("refused, FP32 ships alone: {reason}", "未通过，仅交付 FP32：{reason}")
    int8_off = Phrase("not asked for", "未要求")

    retrain_title = Phrase("Retraining", "再训练")
    accepted_lead = Phrase(
        "Accepted. No class is worse than the machine's model on samples that neither has learnt from.",
        "通过。在两个模型都未学过的样本上，没有任何类别比机器现用模型差。",
    )
    refused_lead = Phrase(
        "Refused. {lost}: more recall is lost than allowed. The machine keeps the model it has.",
        "未通过。{lost}：召回率下降超过允许值。机器继续使用现有模型。",
    )
    learnt_lead = Phrase(
        "Of {mistakes} mistakes that the machine brought back, {learnt} are right now.",
        "机器带回的 {mistakes} 个误判中，现有 {learnt} 个判对。",
    )
    change_heading = Phrase("Class by class", "逐类比较")
    change_text = Phrase(
        "Recall on held-out samples ({which}): the model in the machine, and the new one.",
        "留出样本（{which}）上的召回率：机器现用模型与新模型。",
    )
    on_test = Phrase("the test side", "测试集")
    on_validation = Phrase("the validation side", "验证集")
    on_folds_short = Phrase("out of fold", "折外")
    held_out_column = Phrase("held out", "留出样本")
    base_column = Phrase("in the machine", "现用模型")
    candidate_column = Phrase("new", "新模型")
    change_column = Phrase("change", "变化")
    lost_word = Phrase("lost", "下降")
    mended_heading = Phrase("Right now, wrong before", "现在判对，原先判错")
    broken_heading = Phrase("Wrong now, right before", "现在判错，原先判对")
    unlearnt_heading = Phrase("The machine's mistakes that are still wrong", "机器误判中仍判错的样本")
    nothing_here = Phrase("None.", "无。")

    compare_title = Phrase("Runs side by side", "训练对比")
    compare_lead = Phrase(
        "Figures are of the model that each run ships. The first run is the reference.",
        "指标均为各次训练最终采用的模型；第一项为对照。",
    )
    compare_unfair = Phrase(
        "These runs come from different pools, or were judged on different samples: their figures do not compare.",
        "这些训练来自不同的样本池，或在不同样本上评估：指标不可直接比较。",
    )
    compare_error_text = Phrase(
        "Differences below two standard errors are within chance; one seed is one throw of the dice. Samples looked "
        "at: by all steps of the rounds, without the final fit.",
        "差值小于两个标准误差属于偶然；单个种子只是一次抽样。样本遍历数：各轮训练之和，不含最终训练。",
    )
    compare_test = Phrase("held-out test, {count}", "留出测试集，{count} 个")
    compare_validation = Phrase("validation, {count}", "验证集，{count} 个")
    compare_lost = Phrase("Lost: 1 - macro-F1, less is better", "损失：1 - 宏平均 F1，越小越好")
    compare_missed = Phrase("Missed of the worst class, less is better", "最差类别漏判率，越小越好")
    compare_used = Phrase("Share of the pool in the training set", "训练集占样本池比例")
    compare_classes = Phrase("Recall by class, the best in bold", "各类别召回率，最佳者加粗")
    compare_changed = Phrase("What differs from the first run", "与第一项的差异")
    run_column = Phrase("run", "训练")
    judged_column = Phrase("judged on", "评估样本")
    visits_column = Phrase("samples looked at", "样本遍历数")
    seconds_column = Phrase("seconds", "秒")

    sheet_title = Phrase("Sets without a name", "待命名的样本组")
    sheet_lead = Phrase(
        "{samples} samples have no class yet. They were sorted into {sets} sets that look alike. The sets are guesses: "
        "a person decides what each of them is.",
        "有 {samples} 个样本还没有类别，已按外观相似程度分成 {sets} 组。分组只是推测，每组是什么由人来决定。",
    )
    sheet_step_look = Phrase(
        "Look at each set: the typical ones say what it is, the odd ones what got mixed in.",
        "逐组查看：典型样本说明这一组是什么，边缘样本显示混入了什么。",
    )
    sheet_step_fill = Phrase(
        "Write a class into the column class of clusters.csv. The same class for several sets joins them; - takes a "
        "set out of use; an empty line waits.",
        "在 clusters.csv 的 class 列填写类别。几组填同一类别即合并；填 - 表示停用该组；留空则暂不处理。",
    )
    sheet_step_run = Phrase("Then call", "然后运行")
    sheet_size = Phrase("{count} samples, {share}", "{count} 个样本，占 {share}")
    sheet_typical = Phrase("typical", "典型")
    sheet_odd = Phrase("odd", "边缘")
    sheet_rest = Phrase("in no set", "未成组")

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

    # the report of the demonstration
    demo_title = Phrase("Demonstration: a sorter learns from its own mistakes", "演示：色选机从自己的误判中学习")
    demo_lead = Phrase(
        "Three models sorted the same {objects} unseen pieces on the virtual sorting machine, whose truth is known.",
        "三个模型在虚拟色选机上分选同一批 {objects} 粒从未见过的物料，每粒的真实类别已知。",
    )
    better_all = Phrase(
        "The retrained model is better than the first in {better}, and worse in none.",
        "再训练模型在{better}上优于初始模型，没有一项变差。",
    )
    better_some = Phrase(
        "Mixed: the retrained model is better than the first in {better}, but worse in {worse}.",
        "有得有失：再训练模型在{better}上优于初始模型，但在{worse}上变差。",
    )
    better_none = Phrase(
        "The retrained model is not better than the first; it is worse in {worse}.",
        "再训练模型没有优于初始模型；在{worse}上变差。",
    )
    no_difference = Phrase(
        "The retrained model is not better than the first: all figures are the same.",
        "再训练模型没有优于初始模型：各项指标完全相同。",
    )
    against_control = Phrase(
        "Against the control, which learnt from as many pieces picked at random: better in {better}; worse in {worse}.",
        "与对照模型（用同样数量的随机物料再训练）相比，优于对照的指标：{better}；劣于对照的指标：{worse}。",
    )
    nothing = Phrase("nothing", "无")
    chance_note = Phrase(
        "One seed and one stream: differences of a few tenths of a per cent can be chance. Only several seeds tell.",
        "只有一个随机种子、一批物料：千分之几的差别可能出于偶然，要用多个种子才能下结论。",
    )
    steps_heading = Phrase("What was done", "演示过程")
    step_samples = Phrase(
        "Samples from the laboratory: rendered grains of known class, imported into a pool of {pool} training samples.",
        "实验室样本：生成已知类别的米粒图像，导入样本池，训练样本共 {pool} 个。",
    )
    step_first = Phrase(
        "The loop trains the first model: draw around the mean of each class's norms, train, test the rest, draw again "
        "from the residual. {training} samples in {rounds} rounds.",
        "循环训练初始模型：围绕各类别范数均值抽样、训练、复测其余样本，再从残差样本中抽取；共 {rounds} 轮，"
        "用去 {training} 个样本。",
    )
    step_record = Phrase(
        "The virtual machine sorts with it and records what it is known to get wrong: {residuals} residual samples "
        "among {inspected} pieces shown.",
        "虚拟色选机用该模型分选，并记录确知的误判：{inspected} 粒物料中得到 {residuals} 个残差样本。",
    )
    step_retrain = Phrase(
        "The next rounds learn from these mistakes: {added} samples join the training set.",
        "继续循环，从误判中学习：训练集增加 {added} 个样本。",
    )
    step_pick = Phrase(
        "The control: pieces of the same streams, picked at random and labelled, instead of mistakes.",
        "对照组：从同样的物料流中随机抽取并标注，而不是取误判样本。",
    )
    step_control = Phrase(
        "The control learns from them with the same optimiser steps: {added} samples join its training set.",
        "对照模型以相同的训练步数学习：训练集增加 {added} 个样本。",
    )
    step_judge = Phrase(
        "All three models sort the same unseen stream; jets hit or miss, and every piece is counted.",
        "三个模型分选同一批未见过的物料；喷阀是否命中逐粒统计。",
    )
    machine_heading = Phrase("On the machine", "上机结果")
    marks_note = Phrase(
        "▲ better, ▼ worse than the first model, = the same in the digits shown.",
        "▲ 优于初始模型，▼ 劣于初始模型，= 所示位数内相同。",
    )
    model_column = Phrase("model", "模型")
    figure_column = Phrase("figure", "指标")
    first_model = Phrase("first", "初始模型")
    retrained_model = Phrase("retrained", "再训练")
    control_model = Phrase("control", "对照")
    purity = Phrase("purity", "成品纯度")
    yield_good = Phrase("yield", "良品得率")
    removed = Phrase("removed", "杂质剔除率")
    carry_over = Phrase("carry-over", "带出比")
    worst_short = Phrase("worst recall", "最差类别召回率")
    late = Phrase("late ejections", "迟到的喷吹指令")
    least_lead = Phrase("least lead, ms", "最小提前量（毫秒）")
    purity_help = Phrase("good pieces in the accepted stream", "成品中良品的比例")
    yield_help = Phrase("good pieces fed that were accepted", "投入的良品中进入成品的比例")
    removed_help = Phrase("bad pieces fed that were thrown out", "投入的杂质中被剔除的比例")
    carry_over_help = Phrase("good pieces thrown out for each bad one", "每剔除一粒杂质带出的良品粒数")
    impurity_chart = Phrase("Bad pieces left in the product (1 − purity)", "成品含杂率（1 − 成品纯度）")
    loss_chart = Phrase("Good pieces lost (1 − yield)", "良品损失率（1 − 良品得率）")
    carry_over_chart = Phrase("Carry-over: good pieces lost for each bad one", "带出比（每剔除一粒杂质带出的良品）")
    less_is_better = Phrase("less is better", "越小越好")
    mistakes_heading = Phrase("Mistakes that were known", "确知的误判")
    source_column = Phrase("truth", "真值来源")
    residuals_column = Phrase("residual samples", "残差样本")
    teach_lot = Phrase("T0 teach lot: a lot of one known class", "T0 示教批次：整批为同一已知类别")
    inspection = Phrase("T2 downstream inspection", "T2 下游复检")
    audit_text = Phrase(
        "Audit: of {audit} pieces taken at random and labelled, the first model had {share} ± {error} wrong (one "
        "standard error). They are held out and never trained on.",
        "抽检：随机抽取并标注 {audit} 粒，初始模型误判率 {share} ± {error}（一个标准误差）。"
        "抽检样本只用于评估，不参与训练。",
    )
    no_audit = Phrase("No piece was audited.", "没有抽检样本。")
    runs_heading = Phrase("The three training runs", "三次训练")
    run_caption = Phrase("{training} of {pool} samples, {seconds} s", "{pool} 个样本中使用 {training} 个，{seconds} 秒")
    open_report = Phrase("Open its report", "打开训练报告")
    took = Phrase(
        "Seed {seed}; {share} of the machine's pieces look as the laboratory never saw them; {seconds} s in all.",
        "随机种子 {seed}；上机物料中有 {share} 是实验室从未见过的外观；共用时 {seconds} 秒。",
    )
    rounds_title = Phrase(
        "Rounds of the loop, judged on validation samples (*: its training set ships)",
        "循环各轮，验证集结果（*：交付其训练集）",
    )
    shipped_title = Phrase("Models that ship, on samples of the laboratory", "交付的模型，实验室样本结果")
    machine_title = Phrase("On the virtual machine, {objects} unseen pieces", "虚拟色选机，{objects} 粒未见过的物料")
    residuals_line = Phrase("residual samples: {sources}", "残差样本：{sources}")
