"""Blobs in a folder: whose they are, and what a failed write leaves."""

import hashlib
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.blobs import Blobs
from engine.errors import StorageFailed

ROOT = Path(__file__).parents[2]


def modes(folder: Path) -> dict[str, int]:
    """The modes of all files and folders."""
    return {str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}


def test_blobs_and_their_folders_are_private(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        name = Blobs(f"{tmp_path}/new/blobs").put(b"a picture")
        # As older versions left it, which applied the umask, in a folder that other programs use, too.
        (tmp_path / "old" / name[:2]).mkdir(parents=True)
        (tmp_path / "old" / "cd").mkdir()
        (tmp_path / "old" / ".DS_Store").touch()
        old = Blobs(f"{tmp_path}/old")
        old.put(b"a picture")
        assert modes(tmp_path / "old")[name[:2]] == 0o700
        old.make_private()
    finally:
        os.umask(before)
    folders = {"blobs": 0o700, f"blobs/{name[:2]}": 0o700}
    assert modes(tmp_path / "new") == folders | {f"blobs/{name[:2]}/{name}": 0o600}
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    assert modes(tmp_path / "old") == {
        ".DS_Store": 0o666,
        "cd": 0o700,
        name[:2]: 0o700,
        f"{name[:2]}/{name}": 0o600,
    }


def test_an_unusable_folder_raises_an_error_that_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"no folder")
    disk = Blobs(str(tmp_path / "file"))
    with pytest.raises(StorageFailed, match=r"Not a directory|exists"):
        disk.put(b"bytes")
    with pytest.raises(StorageFailed, match="Not a directory"):
        list(disk)


LIMITED = """
import resource, signal, sys
from engine.blobs import Blobs
from engine.errors import StorageFull

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
blobs = Blobs(sys.argv[1])
small = blobs.put(bytes(5_000))
try:
    blobs.put(bytes(20_000))
except StorageFull:
    print("full")
print(blobs.get(small) == bytes(5_000), len(list(blobs)))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit.")
def test_a_write_without_space_leaves_no_file(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["full", "True", "1"]
    assert sum(path.is_file() for path in tmp_path.rglob("*")) == 1


PUTTING = """
import sys
from engine.blobs import Blobs

blobs, number = Blobs(sys.argv[1]), 0
while True:
    number += 1
    print(blobs.put(number.to_bytes(4, "big") * 500_000), flush=True)
"""


def test_a_crash_during_a_write_leaves_no_incomplete_blob(tmp_path: Path) -> None:
    """Every named blob is complete, and every stored blob exists."""
    for killed_after in (0.0, 0.01, 0.03, 0.05):
        with subprocess.Popen(
            [sys.executable, "-c", PUTTING, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        ) as putting:
            assert putting.stdout is not None
            acknowledged = [putting.stdout.readline().strip()]
            time.sleep(killed_after)  # at another moment each time; none of them matters
            putting.send_signal(signal.SIGKILL)
            acknowledged += [line.strip() for line in putting.stdout if line.endswith("\n")]
        disk = Blobs(str(tmp_path))
        for name in acknowledged:
            assert len(disk.get(name)) == 2_000_000
        for blob in disk:
            if not blob.name.endswith(".part"):
                assert hashlib.sha256(disk.get(blob.name)).hexdigest() == blob.name
