"""Why a recipe is proposed as it is, in English and Simplified Chinese: a typed catalogue and nothing else."""

from firmware_bridge.phrase import Phrase

__all__ = ["Why"]


class Why:
    """Reasons and warnings. A name is the key."""

    channel_only = Phrase(
        "the only level looked at; outlines are {clear} times as steep as the ground",
        "只考察了这一种电平；轮廓处的陡度是背景的 {clear} 倍",
    )
    channel_first = Phrase(
        "outlines are {clear} times as steep as the ground; no other level is clearly better (next: {other}, {less})",
        "轮廓处的陡度是背景的 {clear} 倍；其他电平都没有明显更好（其次为 {other}，{less} 倍）",
    )
    channel_better = Phrase(
        "outlines are {clear} times as steep as the ground, more than in any other level (next: {other}, {less})",
        "轮廓处的陡度是背景的 {clear} 倍，优于其他电平（其次为 {other}，{less} 倍）",
    )
    background = Phrase("median colour along the borders of all frames", "所有图像四边颜色的中位数")
    bright = Phrase(
        "the ground lies at {ground}, objects about {contrast} levels above it",
        "背景电平为 {ground}，目标约高出 {contrast} 级",
    )
    dark = Phrase(
        "the ground lies at {ground}, objects about {contrast} levels below it",
        "背景电平为 {ground}，目标约低 {contrast} 级",
    )
    threshold = Phrase(
        "here outlines are sharp, above what the ground reaches; one value for all frames",
        "此处轮廓清晰，且超出背景所及的范围；所有图像共用一个值",
    )
    blur = Phrase(
        "objects are about {width} px wide: a filter of this size removes noise and leaves them alone",
        "目标宽约 {width} 像素：这样大小的滤波能去噪而不损伤目标",
    )
    area_gap = Phrase(
        "a single object has about {typical} px; there is a gap in sizes between dust and objects here",
        "单个目标约 {typical} 像素；尘屑与目标的大小在此处有明显间隔",
    )
    area_share = Phrase(
        "a quarter of a single object, which has about {typical} px; no gap in sizes shows where dust ends",
        "取单个目标（约 {typical} 像素）的四分之一；大小分布中看不出尘屑的界限",
    )
    width = Phrase(
        "objects are about {width} px wide: narrower things are threads, scratches or edges",
        "目标宽约 {width} 像素：更窄的是线头、划痕或边缘",
    )
    no_clumps = Phrase(
        "off: hardly anything is both larger than a single object and notched",
        "关闭：几乎没有既大于单个目标又带凹口的轮廓",
    )
    parted = Phrase(
        "{clumps} clumps come apart into {parts} pieces that look like single objects; single objects stay whole",
        "{clumps} 处粘连被拆成 {parts} 块，与单个目标相似，且单个目标保持完整",
    )
    not_parted = Phrase(
        "off: {clumps} clumps do not come apart into pieces that look like single objects",
        "关闭：{clumps} 处粘连无法拆成与单个目标相似的块",
    )
    solidity = Phrase(
        "what cannot be parted is a cluster, never classified; the key cluster says what happens to it",
        "无法拆开的视为粘连团，不参与分类；由 cluster 键决定如何处理",
    )
    no_solidity = Phrase("off: nothing is left that could not be parted", "关闭：没有无法拆开的粘连")
    hole = Phrase(
        "larger holes are gaps between several objects; with this value single objects with spots stay whole",
        "更大的孔视为多个目标之间的空隙；取此值时带斑点的单个目标保持完整",
    )
    hole_off = Phrase("only counts with split_neck", "仅在启用 split_neck 时起作用")
    side = Phrase(
        "the window of {window} px holds 99.5 % of the single objects (up to {extent} px); must be the model's own",
        "窗口 {window} 像素，可容纳 99.5% 的单个目标（最大 {extent} 像素）；须与模型一致",
    )
    side_most = Phrase(
        "the largest window there is, {window} px; single objects have up to {extent} px; must be the model's own",
        "已是最大窗口，{window} 像素；单个目标最大 {extent} 像素；须与模型一致",
    )
    reduction = Phrase(
        "so that a crop stays small enough for a small network; must be the model's own",
        "使切片足够小，适合小型网络；须与模型一致",
    )
    no_reduction = Phrase(
        "objects are small: every pixel counts; must be the model's own", "目标较小，逐像素保留；须与模型一致"
    )

    found = Phrase(
        "Proposed from {frames} frames: {objects} objects, {each} a frame, median area {area} px, longest side "
        "{largest} px, {border} at a border. Look at the sheet before you believe it. The machine file's "
        "max_object_lines must be at least {lines}, or longer objects are oversize.",
        "依据 {frames} 帧提出：目标 {objects} 个，每帧 {each} 个，面积中位数 {area} 像素，最长边 {largest} 像素，"
        "触及边缘 {border}。采用前请先查看总览页。"
        "机器文件中的 max_object_lines 不得小于 {lines}，否则更长的目标按超大处理。",
    )
    actions = Phrase(
        'action = "eject" throws a class out; nothing is thrown out until you say so',
        'action = "eject" 表示剔除该类别；在您设定之前不剔除任何类别',
    )

    unclear = Phrase(
        "Objects hardly stand out: outlines are {clear} times as steep as the ground, {limit} is the least to rely on. "
        "Change the light or the belt's colour.",
        "目标不够突出：轮廓处的陡度仅为背景的 {clear} 倍，至少应达到 {limit} 倍。请调整光源或皮带颜色。",
    )
    other_level = Phrase(
        "Channel {channel} shows {more} objects of this size, the chosen one {count}: do the frames hold something "
        "that is not of the product, such as a coin? Try --channel {channel}.",
        "通道 {channel} 能看到 {more} 个这样大小的目标，而所选通道只有 {count} 个："
        "图像中是否有不属于产品的东西，如硬币？可试用 --channel {channel}。",
    )
    drifts = Phrase(
        "The ground differs by {drift} levels between the frames, objects stand out by {contrast}: does the lamp "
        "drift? Let it warm up, then run `sortloop-edge calibrate`.",
        "各帧背景相差 {drift} 级，而目标仅突出 {contrast} 级：光源是否漂移？请预热后运行 `sortloop-edge calibrate`。",
    )
    uneven = Phrase(
        "The ground differs by {uneven} levels within the frames, objects stand out by {contrast}: "
        "`sortloop-edge calibrate` evens the light out.",
        "帧内背景相差 {uneven} 级，而目标仅突出 {contrast} 级：`sortloop-edge calibrate` 可校正光照不均。",
    )
    too_long = Phrase(
        "Objects of up to {extent} px were found, a window has at most {window} px: longer ones are oversize, never "
        "classified. Are they product, or an edge of the belt? Take frames with fewer pixels, or cover such an edge.",
        "找到的目标最大 {extent} 像素，而窗口至多 {window} 像素：更长的按超大处理，不参与分类。"
        "它们是产品，还是皮带边缘？请降低图像分辨率，或遮住非产品部分。",
    )
    unparted = Phrase(
        "Objects hang together and do not come apart by their shape: spread them on the feeder; until then "
        "they are clusters, which are never classified.",
        "目标相互粘连且无法按形状拆开：请在给料处摊开；在此之前作为粘连团处理，不参与分类。",
    )
    no_gap = Phrase(
        "Dust and objects cannot be told apart by size: look whether min_area_px drops broken pieces or keeps dust.",
        "尘屑与目标难以按大小区分：请检查 min_area_px 是否丢掉了碎粒或留下了尘屑。",
    )
    few = Phrase(
        "Only {objects} objects were found; with fewer than {limit} hardly anything can be told. Give more frames.",
        "只找到 {objects} 个目标；少于 {limit} 个时难以判断。请提供更多图像。",
    )
    at_border = Phrase(
        "{at_border} of {objects} objects touch the border of their frame: what is cut off looks broken.",
        "{objects} 个目标中有 {at_border} 个触及图像边缘：被截断的目标看起来像碎粒。",
    )
