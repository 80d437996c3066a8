"""Which crops calibrate the quantisation: of every class, from its darkest to its brightest.

Ranges come from the extremes, so that a draw around the class mean would clip what the machine sees. Pure numpy.

>>> calibration_rows(np.array([0, 0, 0, 1]), np.array([30, 10, 20, 5]), np.arange(4), count=4).tolist()
[0, 1, 3]
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["calibration_rows"]


def calibration_rows(
    class_ids: NDArray[np.int64], norms_q16: NDArray[np.int64], rows: NDArray[np.int64], *, count: int
) -> NDArray[np.int64]:
    """Return about `count` of the rows, the same number of each class, spread evenly over the order of its norms.

    Args:
        class_ids: (N,) int64 of the whole table, in the order of the content hashes.
        norms_q16: (N,) int64.
        rows: (M,) int64 row numbers to choose from: the training set, never what the model is judged on.
        count: wanted in all; a class with too few gives all it has.

    Returns:
        Row numbers, ascending; darkest and brightest of every class among them where it gives two or more.
    """
    present = np.unique(class_ids[rows])
    chosen = [np.zeros(0, np.int64)]
    for class_id in present:
        own = np.sort(rows[class_ids[rows] == class_id])
        by_norm = own[np.argsort(norms_q16[own], kind="stable")]
        wanted = min(len(own), -(-count // len(present)))
        places = np.arange(wanted) * (len(own) - 1) // max(1, wanted - 1)
        chosen.append(by_norm[places])
    return np.sort(np.concatenate(chosen))
