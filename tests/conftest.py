"""What several test modules share: a real model folder, made once a session."""

from pathlib import Path

import pytest
from hypothesis import settings
from tiny_model import write_model_folder

# How long an example takes says something of the computer and nothing of the law that is tried.
settings.register_profile("sortloop", deadline=None)
settings.load_profile("sortloop")


@pytest.fixture(scope="session")
def tiny_model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole model folder; read only."""
    folder = tmp_path_factory.mktemp("tiny") / "model"
    write_model_folder(folder)
    return folder
