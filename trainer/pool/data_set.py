"""What all samples of a pool have in common; `trainer.acquire.data_set_choice` decides it once."""

from typing import Literal

import msgspec

from edge_runtime.crop import CropSpec
from edge_runtime.norm import NormSpec
from edge_runtime.segment import SegmentSettings

__all__ = ["DataSet"]


class DataSet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What every sample of a pool was made with.

    Attributes:
        segment: how the object is told from the background.
        crop: window, reduction and channels.
        norm: how pixels are weighed.
    """

    segment: SegmentSettings
    crop: CropSpec
    norm: NormSpec
    schema_version: Literal[1] = 1
