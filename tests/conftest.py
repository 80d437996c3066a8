"""What several test modules share: a real model folder, made once a session."""

from pathlib import Path

import pytest
from tiny_model import write_model_folder


@pytest.fixture(scope="session")
def tiny_model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole model folder; read only."""
    folder = tmp_path_factory.mktemp("tiny") / "model"
    write_model_folder(folder)
    return folder
