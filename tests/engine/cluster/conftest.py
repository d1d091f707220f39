"""Certificates that all tests of this folder share, because making them takes time."""

from pathlib import Path

import pytest

from engine.cluster.certificates import make


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of one cluster's certificates."""
    folder = tmp_path_factory.mktemp("certificates")
    make(folder)
    return folder
