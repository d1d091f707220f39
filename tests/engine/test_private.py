"""Files and folders that only their owner can access."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import private


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(autouse=True)
def no_umask() -> Iterator[None]:
    """A umask that removes no rights."""
    before = os.umask(0)
    yield
    os.umask(before)


def test_new_folders_are_private(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    assert private.make_folder(tmp_path / "one" / "two")
    assert (mode(tmp_path / "one"), mode(tmp_path / "one" / "two")) == (0o700, 0o700)
    assert mode(tmp_path) == 0o755, "it existed before, and is not ours to change"


@pytest.mark.parametrize("names", [(), ("ab",), ("ab", "cd")])
def test_a_folder_with_only_our_files_becomes_private(tmp_path: Path, names: tuple[str, ...]) -> None:
    folder = tmp_path / "folder"
    folder.mkdir(0o775)
    for name in names:
        (folder / name).touch()
    assert private.make_folder(folder, "[a-f]{2}")
    assert mode(folder) == 0o700


@pytest.mark.parametrize("other", ["letters", "abc"])
def test_a_folder_with_other_files_keeps_its_mode_and_is_reported(tmp_path: Path, other: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir(0o755)
    (folder / "ab").touch()
    (folder / other).touch()
    assert not private.make_folder(folder, "[a-f]{2}")
    assert mode(folder) == 0o755
    folder.chmod(0o700)
    assert private.make_folder(folder, "[a-f]{2}")


def test_a_folder_that_everybody_can_write_to_keeps_its_mode(tmp_path: Path) -> None:
    folder = tmp_path / "tmp"
    folder.mkdir()
    folder.chmod(0o1777)
    assert not private.make_folder(folder)
    assert mode(folder) == 0o1777


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "file").touch(0o644)
    os.chown(tmp_path / "file", 12345, -1)
    private.close(tmp_path / "file")
    assert mode(tmp_path / "file") == 0o644


def test_a_missing_file_is_ignored(tmp_path: Path) -> None:
    private.close(tmp_path / "nothing")
    assert list(tmp_path.iterdir()) == []


def test_a_new_file_is_private(tmp_path: Path) -> None:
    os.close(private.create(tmp_path / "file"))
    assert mode(tmp_path / "file") == 0o600
    with pytest.raises(FileExistsError):
        private.create(tmp_path / "file")
    os.close(private.create(tmp_path / "file", exist_ok=True))
