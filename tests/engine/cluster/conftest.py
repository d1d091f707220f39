"""Certificates for all tests of this folder: making them is quick, but not that quick."""

from pathlib import Path

import pytest

from engine.cluster.certificates import make


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of one cluster."""
    folder = tmp_path_factory.mktemp("certificates")
    make(folder)
    return folder
