"""The samples behind the cells of a confusion matrix: rows of crops that a click on a cell leads to.

Knows samples and what a model said of them; draws no matrix.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trainer.pool.sample_table import SampleTable
from trainer.report.report_page import crop_uri
from trainer.report.strips import Crop, Strip
from trainer.report.texts import Phrase

__all__ = ["NO_MIX_UPS", "MixUps", "find_mix_ups"]

_MOST_CELLS: Final = 40  # the fullest ones: with six crops each they stay below a megabyte
_CROPS_A_CELL: Final = 6


@dataclass(frozen=True, slots=True)
class MixUps:
    """Rows of crops, the fullest cell first, and which of them belongs to a cell (true, predicted)."""

    strips: tuple[Strip, ...]
    anchors: Mapping[tuple[int, int], str]


NO_MIX_UPS: Final = MixUps((), {})


def find_mix_ups(table: SampleTable, predicted_ids: NDArray[np.int64], names: Sequence[Phrase], prefix: str) -> MixUps:
    """Return the samples of every cell off the diagonal.

    Args:
        table: N samples.
        predicted_ids: (N,) int64, what the model says.
        names: K class names in the order of the table.
        prefix: of the anchors: a page may hold several matrices.

    Returns:
        At most 40 cells with at most six crops each; equal counts in the order of the classes.
    """
    wrong = np.flatnonzero(predicted_ids != table.class_ids)
    cells, counts = np.unique(
        np.stack((table.class_ids[wrong], predicted_ids[wrong]), axis=1), axis=0, return_counts=True
    )
    strips, anchors = [], {}
    for at in np.argsort(-counts, kind="stable")[:_MOST_CELLS].tolist():
        true_id, said_id = (int(one) for one in cells[at])
        rows = wrong[(table.class_ids[wrong] == true_id) & (predicted_ids[wrong] == said_id)]
        crops = tuple(
            Crop(
                crop_uri(table.pixels[row]), Phrase(table.ids[row][:6], table.ids[row][:6]), table.sources[row], "plain"
            )
            for row in rows[:_CROPS_A_CELL].tolist()
        )
        anchors[true_id, said_id] = f"{prefix}-{true_id}-{said_id}"
        label = Phrase(f"{names[true_id].en} → {names[said_id].en}", f"{names[true_id].zh_cn} → {names[said_id].zh_cn}")
        strips.append(Strip(label, crops, len(rows) - len(crops), anchors[true_id, said_id]))
    return MixUps(tuple(strips), anchors)
