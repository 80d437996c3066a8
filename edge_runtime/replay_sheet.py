"""A replay as one page to look at: frames with what was found, crops that deserve a look, figures and times."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Final

from edge_runtime.decisions import CLUSTER, CUT_OFF, OVERSIZE
from edge_runtime.gallery import Example, Gallery, ShownFrame
from edge_runtime.overlay import DISAGREEMENT, class_colour, web_colour
from edge_runtime.page import frame_figure, frame_grid, legend_card, line_sample, page_html, table, tile
from edge_runtime.reports import ReplayReport
from edge_runtime.reports_text import frequent_reasons
from edge_runtime.schemas import DisplayName
from edge_runtime.sheet_texts import Say, same
from firmware_bridge.phrase import Language, Phrase

__all__ = ["ReplaySheet", "replay_sheet"]

_KINDS: Final = {OVERSIZE: Say.oversize, CLUSTER: Say.cluster, CUT_OFF: Say.cut_off}


@dataclass(frozen=True, slots=True)
class ReplaySheet:
    """What the page shows.

    Attributes:
        source: what was replayed, as given.
        report: the figures.
        gallery: chosen frames and crops.
        class_names: in the order of the model's scores.
        display_names: by class name, where there are any.
    """

    source: str
    report: ReplayReport
    gallery: Gallery
    class_names: tuple[str, ...]
    display_names: Mapping[str, DisplayName]

    def name_of(self, class_id: int) -> Phrase:
        """Return what people call a class or a kind below 0."""
        if class_id in _KINDS:
            return _KINDS[class_id]
        name = self.class_names[class_id]
        shown = self.display_names.get(name)
        return same(name) if shown is None else Phrase(shown.en, shown.zh_cn)


def replay_sheet(sheet: ReplaySheet, language: Language = "en") -> bytes:
    """Return the page as UTF-8 HTML, in both languages; the same sheet gives the same bytes.

    Args:
        sheet: what it shows.
        language: shown first.
    """
    report = sheet.report
    has_truth = report.recall is not None
    ids = [*range(len(sheet.class_names))]
    kinds = [kind for kind in _KINDS if sheet.gallery.count(kind)]
    keys = [(class_id, sheet.name_of(class_id)) for class_id in ids + kinds]
    body = [
        f'<div class="lead"><p>{Say.replay_lead.filled(source=sheet.source).__html__()}</p></div>',
        f'<div class="tiles">{"".join(_tiles(report))}</div>',
        f"<h2>{Say.frames.__html__()}</h2>",
        f'<p class="soft">{_frames_note(sheet, has_truth).__html__()}</p>',
        _legend(keys, has_truth=has_truth),
        frame_grid([_figure(frame) for frame in sheet.gallery.frames]),
        f"<h2>{Say.crops.__html__()}</h2>",
        f'<p class="soft">{Say.crops_note.__html__()}</p>',
        *(_strip(sheet, class_id) for class_id in ids + kinds if sheet.gallery.count(class_id)),
        *_times(report),
    ]
    return page_html(Say.replay_title, body, _foot(report), language)


def _figure(frame: ShownFrame) -> str:
    counts = Say.frame_counts.filled(objects=frame.objects, ejected=frame.ejected)
    told = []
    if frame.unclassified:
        told.append(Say.frame_unclassified.filled(count=frame.unclassified))
    if frame.missed:
        told.append(Say.frame_missed.filled(count=frame.missed))
    if frame.false:
        told.append(Say.frame_false.filled(count=frame.false))
    more = "".join(f' · <span class="told">{one.__html__()}</span>' for one in told)
    return frame_figure(frame.uri, frame.name, counts.__html__() + more)


def _legend(classes: list[tuple[int, Phrase]], *, has_truth: bool) -> str:
    """Return what colours and lines mean, HTML; only what can occur on the page.

    Args:
        classes: class ids, and kinds below 0, and what they are called.
        has_truth: whether people's polygons are drawn.
    """
    soft = "#9aa0a6"
    keys = [(line_sample(web_colour(class_colour(class_id)), 2 + (class_id < 0)), name) for class_id, name in classes]
    keys += [(line_sample(soft, 1.4), Say.key_accept), (line_sample(soft, 3, "cross"), Say.key_eject)]
    if has_truth:
        yellow = web_colour(DISAGREEMENT)
        keys.append((line_sample("#ffffff", 1.4, "dashed"), Say.key_person))
        keys.append((line_sample(yellow, 1.6, "missed"), Say.key_missed))
        keys.append((line_sample(yellow, 2, "box"), Say.key_false))
    return legend_card(keys)


def _tiles(report: ReplayReport) -> Iterator[str]:
    share = f"{report.ejected / max(1, report.objects):.1%}"
    yield tile("main", Say.objects, same(f"{report.objects:,}"), Say.objects_note.filled(frames=f"{report.frames:,}"))
    yield tile("", Say.ejected, same(f"{report.ejected:,}"), Say.ejected_note.filled(share=share))
    yield tile("bad" if report.oversize else "", Say.oversize, same(f"{report.oversize:,}"), Say.oversize_note)
    if report.clusters:
        yield tile("", Say.cluster, same(f"{report.clusters:,}"), Say.cluster_note)
    if report.cut_off:
        yield tile("", Say.cut_off, same(f"{report.cut_off:,}"), Say.cut_off_note)
    if report.recall is not None and report.precision is not None and report.mean_iou is not None:
        found = Say.recall_note.filled(matched=f"{report.matched:,}", polygons=f"{report.polygons:,}")
        yield tile("", Say.recall, same(f"{report.recall:.3f}"), found)
        yield tile("", Say.precision, same(f"{report.precision:.3f}"), Say.precision_note)
        yield tile("", Say.overlap, same(f"{report.mean_iou:.3f}"), Say.overlap_note)
    if report.missing:
        told = [f"{count} × {reason}" for reason, count in frequent_reasons(report.missing)]
        reasons = "; ".join([*told, *(["…"] if len(report.missing) > len(told) else [])])
        yield tile("bad", Say.missing, same(str(sum(report.missing.values()))), same(reasons))


def _frames_note(sheet: ReplaySheet, has_truth: bool) -> Phrase:
    shown = Say.frames_note.filled(shown=len(sheet.gallery.frames), frames=f"{sheet.report.frames:,}")
    if not has_truth:
        return shown
    return Phrase(f"{shown.en} {Say.truth_note.en}", f"{shown.zh_cn}{Say.truth_note.zh_cn}")


def _strip(sheet: ReplaySheet, class_id: int) -> str:
    count, examples = sheet.gallery.count(class_id), sheet.gallery.examples(class_id)
    swatch = f'<i class="swatch" style="background:{web_colour(class_colour(class_id))}"></i>'
    more = count - len(examples)
    rest = f'<div class="more">{Say.more.filled(count=f"{more:,}").__html__()}</div>' if more else ""
    crops = "".join(_crop(example, class_id) for example in examples)
    return (
        f'<div class="strip"><div><b>{swatch}{sheet.name_of(class_id).__html__()}</b>'
        f'{Say.count_objects.filled(count=f"{count:,}").__html__()}</div><div class="crops">{crops}{rest}</div></div>\n'
    )


def _crop(example: Example, class_id: int) -> str:
    caption = Phrase("", "") if class_id < 0 else same(f"{example.score:.3f}")
    action = Say.eject_mark if example.is_eject else Phrase("", "")
    kind = "crop eject" if example.is_eject else "crop"
    lead = Phrase("", "") if class_id < 0 else Say.lead.filled(margin=f"{example.margin:.3f}")
    place = escape(f"{example.place} {lead.both()}", quote=True)
    return (
        f'<div class="{kind}" title="{place}"><img src="{example.uri}" alt="">'
        f"{caption.__html__()} {action.__html__()}</div>"
    )


def _times(report: ReplayReport) -> Iterator[str]:
    if not report.stages:
        return
    yield f"<h2>{Say.times.__html__()}</h2>"
    yield f'<p class="soft">{Say.times_note.__html__()}</p>'
    rows = (
        (
            f"{Say.stage(time.stage).__html__()}",
            f'{time.share:.1%}<span class="meter"><i style="width:{time.share:.1%}"></i></span>',
            f"{time.median_us / 1000:.3f} ms",
            f"{time.p99_us / 1000:.3f} ms",
        )
        for time in report.stages
    )
    yield table((Say.stage_head, Say.share_head, Say.median_head, Say.p99_head), rows)


def _foot(report: ReplayReport) -> str:
    return (
        f"{Say.model_foot.__html__()} <code>{escape(report.model_id)}</code><br>"
        f"{Say.decisions_foot.__html__()} <code>{escape(report.decisions_sha256)}</code>"
    )
