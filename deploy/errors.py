"""Errors of building and reading bundles.

ProductError
└── DeployError
    ├── BundleSourceError    5  a folder cannot become a bundle
    └── BundleError          6  a bundle is damaged, altered or not a bundle

Files that cannot be read or written at all are edge_runtime's StorageError (5).
"""

from typing import ClassVar

from firmware_bridge.product_error import ProductError

__all__ = ["BundleError", "BundleSourceError", "DeployError"]


class DeployError(ProductError):
    """Base of everything that can go wrong with bundles."""


class BundleSourceError(DeployError):
    """A folder cannot become a bundle: it is not a whole model folder, or it is too large."""

    exit_code: ClassVar[int] = 5
    remedy: ClassVar[str] = "Export the model again and build the bundle from that folder."


class BundleError(DeployError):
    """A bundle is damaged, altered, or no bundle at all; nothing of it may be used."""

    exit_code: ClassVar[int] = 6
    remedy: ClassVar[str] = "Copy the bundle again from where it was built; nothing of this file was used."
