"""The blob store, on disk and in other file systems of fsspec."""

import asyncio
import base64
import errno
import hashlib
import json
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import aiohttp
import fsspec
import pytest
from fsspec.exceptions import FSTimeoutError
from fsspec.implementations.local import LocalFileSystem
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.blobs import Blobs
from engine.errors import BlobLost, StorageFailed, StorageFull, StorageUnavailable, StorageUnsafe
from engine.worker import tasks
from tests.failing_store import ClientError, FailingStore, new_url

ROOT = Path(__file__).parents[2]
URLS: dict[str, Callable[[Path], str]] = {
    "path": lambda folder: str(folder / "not there yet" / "blobs"),
    "file": lambda folder: f"file://{folder}/blobs",
    "local": lambda folder: f"local://{folder}/blobs",
    "memory": lambda folder: f"memory://{uuid4().hex}/blobs",
    "folders": lambda folder: f"linked://{folder}/blobs",
}


class Linked(LocalFileSystem):  # type: ignore[misc]
    """A file system that only fsspec can access."""

    protocol = "linked"


fsspec.register_implementation("linked", Linked, clobber=True)
ERRORS = [
    ClientError(),
    aiohttp.ClientPayloadError("Response payload is not completed"),
    aiohttp.ServerDisconnectedError(),
    TimeoutError(),
    FSTimeoutError(),
    asyncio.CancelledError(),
    PermissionError(errno.EACCES, "Permission denied"),
    OSError(errno.EIO, "Input/output error"),
    RuntimeError("Loop is not running"),
    NotImplementedError("no such operation"),
]


@pytest.fixture(params=URLS)
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    return Blobs(URLS[request.param](tmp_path))


@pytest.fixture
def disk(tmp_path: Path) -> Blobs:
    return Blobs(str(tmp_path))


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


# --- Anywhere ---


def test_bytes_are_found_by_their_hash(blobs: Blobs) -> None:
    name = blobs.put(b"a picture")
    assert name == hashlib.sha256(b"a picture").hexdigest()
    assert blobs.get(name) == b"a picture"
    assert Blobs(blobs.url).get(name) == b"a picture"


def test_an_empty_store_lists_nothing_and_a_missing_blob_is_an_error(blobs: Blobs) -> None:
    assert list(blobs) == []
    with pytest.raises(BlobLost) as lost:
        blobs.get("0" * 64)
    assert lost.value.name == "0" * 64


def test_the_list_has_the_size_and_time_of_each_blob(blobs: Blobs) -> None:
    before = datetime.now(UTC) - timedelta(seconds=2)  # file systems count coarsely
    kept = {blobs.put(data): len(data) for data in (b"", b"one", b"another")}
    told = list(blobs)
    assert {blob.name: blob.bytes for blob in told} == kept
    assert all(before <= blob.modified <= datetime.now(UTC) + timedelta(seconds=2) for blob in told)


def test_equal_bytes_are_stored_once(blobs: Blobs) -> None:
    assert blobs.put(b"twice") == blobs.put(b"twice")
    assert len(list(blobs)) == 1


def test_a_blob_can_be_removed_twice_and_stored_again(blobs: Blobs) -> None:
    name, other = blobs.put(b"one"), blobs.put(b"other")
    for _ in range(2):
        blobs.remove(name)
    with pytest.raises(BlobLost):
        blobs.get(name)
    assert [blob.name for blob in blobs] == [other]
    assert blobs.put(b"one") == name
    assert blobs.get(name) == b"one"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(data=st.binary(max_size=5000))
def test_any_bytes_are_read_as_they_were_written(blobs: Blobs, data: bytes) -> None:
    assert blobs.get(blobs.put(data)) == data


def test_several_threads_put_and_get_at_the_same_time(blobs: Blobs) -> None:
    lost: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for each in range(20):
                data = bytes([each]) * 1000  # the same in each thread
                assert blobs.get(blobs.put(data)) == data
                own = b"%d %d" % (number, each)
                name = blobs.put(own)
                assert blobs.get(name) == own
                blobs.remove(name)
        except BaseException as error:
            lost.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not lost
    assert len(list(blobs)) == 20


@pytest.mark.parametrize("replaces", [True, False])
def test_a_blob_can_be_read_while_it_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replaces: bool
) -> None:
    """Two threads put the same bytes at the same time. SMB does not replace a file by a move."""
    blobs = Blobs(f"linked://{tmp_path}/blobs")
    name = blobs.put(b"picture")
    seen: list[bytes] = []
    write, move = Linked.pipe_file, Linked.mv

    def written_by_halves(files: Linked, path: str, data: bytes) -> None:
        write(files, path, data[: len(data) // 2])
        if path.endswith(".part"):
            seen.append(blobs.get(name))
        write(files, path, data)

    def moved(files: Linked, path: str, to: str) -> None:
        if not replaces:
            raise FileExistsError(errno.EEXIST, to)
        move(files, path, to)

    monkeypatch.setattr(Linked, "pipe_file", written_by_halves)
    monkeypatch.setattr(Linked, "mv", moved)
    monkeypatch.setattr(Blobs, "_touched", lambda *_: False)
    assert blobs.put(b"picture") == name
    assert seen == [b"picture"]
    assert blobs.get(name) == b"picture"
    assert [each.name for each in blobs] == [name]


def test_the_clock_is_the_clock_of_the_file_system(blobs: Blobs) -> None:
    for _ in range(2):
        before = datetime.now(UTC) - timedelta(seconds=2)  # file systems count coarsely
        assert before <= blobs.clock() <= datetime.now(UTC) + timedelta(seconds=2)
    assert list(blobs) == []


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_any_error_of_a_file_system_raises_storage_failed(error: BaseException) -> None:
    blobs = Blobs(new_url())
    name = blobs.put(b"kept")
    calls: list[Callable[[], object]] = [
        lambda: blobs.put(b"more"),
        lambda: blobs.get(name),
        lambda: blobs.remove(name),
        lambda: list(blobs),
        blobs.clock,
    ]
    for call in calls:
        with FailingStore.failing(error):
            with pytest.raises(StorageFailed) as failed:
                call()
            assert FailingStore.raised
        assert failed.value.detail.startswith(f"{type(error).__name__}: ")
    assert [blob.name for blob in blobs] == [name]
    assert blobs.get(name) == b"kept"


def test_a_full_store_raises_storage_full() -> None:
    blobs = Blobs(new_url())
    for number in (errno.ENOSPC, errno.EDQUOT):
        with FailingStore.failing(OSError(number, "full")), pytest.raises(StorageFull):
            blobs.put(b"more")


def test_a_failing_store_costs_a_worker_at_most_one_checkpoint() -> None:
    """A checkpoint that can't be written is skipped. One that can't be read is not lost, and is retried."""
    blobs = Blobs(new_url())
    name = blobs.put(b"a checkpoint")
    for error in ERRORS:
        with FailingStore.failing(error):
            assert tasks._save_checkpoint(blobs, b"another checkpoint") is None
            with pytest.raises(StorageFailed):
                tasks._read_state(blobs, name)
            assert FailingStore.raised
    assert tasks._read_state(blobs, name) == b"a checkpoint"
    assert tasks._read_state(blobs, "0" * 64) is None


# --- On disk ---


@pytest.mark.parametrize("scheme", ["", "linked://"])
def test_other_files_are_not_listed(tmp_path: Path, scheme: str) -> None:
    blobs = Blobs(f"{scheme}{tmp_path}")
    name = blobs.put(b"ours")
    left = f"{name}.0123abcd.part"  # by a process that died while it wrote
    beside = tmp_path / name[:2]
    (beside / left).write_bytes(b"half")
    other = "ab" * 32
    foreign = [
        tmp_path / ".DS_Store",
        beside / ".DS_Store",
        beside / "Thumbs.db",
        beside / name[:-1],
        beside / f"{name}0",
        beside / name.upper(),
        beside / f"{name}.part",
        beside / f"{name}.jpg",
        beside / f".{name}",
        beside / f"{name}.0123abcd.part~",
        beside / other,  # of another folder
        tmp_path / name,
        tmp_path / "ab" / "cd" / other,
        tmp_path / "AB" / other.upper(),
        tmp_path / "lost+found" / name,
        tmp_path / "ab" / "ab" / other / "file",
    ]
    for path in foreign:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"foreign")
    (tmp_path / "ab" / f"{'ab' * 31}00").mkdir()
    (tmp_path / "ab" / f"{'ab' * 31}01").symlink_to(beside / name)
    (tmp_path / "ab" / f"{'ab' * 31}02").symlink_to("nowhere")
    os.mkfifo(tmp_path / "ab" / f"{'ab' * 31}03")
    (tmp_path / "cd").symlink_to(tmp_path / "ab")
    (tmp_path / "ef").symlink_to(tmp_path)
    assert {blob.name: blob.bytes for blob in blobs} == {name: 4, left: 4}
    blobs.remove(left)
    assert [blob.name for blob in blobs] == [name]
    assert all(path.read_bytes() == b"foreign" for path in foreign)


def test_writing_a_blob_again_renews_its_time(disk: Blobs, tmp_path: Path) -> None:
    """Otherwise a sweep would remove a blob that a new job uses."""
    disk.put(b"old")
    (file,) = files(tmp_path)
    os.utime(file, (1_000_000_000, 1_000_000_000))
    disk.put(b"old")
    (blob,) = disk
    assert blob.modified > datetime(2020, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("damage", [b"", b"anothe", b"another!", b"Another"])
def test_a_damaged_blob_is_lost_until_it_is_written_again(damage: bytes, disk: Blobs, tmp_path: Path) -> None:
    name = disk.put(b"another")
    (file,) = files(tmp_path)
    file.write_bytes(damage)
    with pytest.raises(BlobLost):
        disk.get(name)
    disk.put(b"another")  # mends it
    assert disk.get(name) == b"another"


class TestTheUrl:
    @pytest.mark.parametrize("url", ["", "simplecache::s3://bucket/atelier", "dir::/folder", "zip://*::/folder/a.zip"])
    def test_must_name_one_place(self, url: str) -> None:
        with pytest.raises(StorageUnsafe, match=r"BLOBS_URL .* one place"):
            Blobs(url)

    @pytest.mark.parametrize(
        ("url", "why"),
        [
            ("nosuchstore://bucket", "Protocol not known: nosuchstore"),
            ("git:///folder", "Install pygit2"),
            ("reference://folder", "missing 1 required"),
        ],
    )
    def test_that_cannot_be_opened_raises_an_error_that_says_why(self, url: str, why: str) -> None:
        with pytest.raises(
            StorageUnavailable, match=rf"^BLOBS_URL is '{url}', which can't be opened: .*{why}.*\. .*\.$"
        ):
            Blobs(url)

    def test_renders_no_template(self, tmp_path: Path) -> None:
        """The references of fsspec would, and their document can be part of the URL."""
        target = tmp_path / "owned"
        code = f"{{{{ cycler.__init__.__globals__.os.mkdir('{target}') }}}}"
        document = json.dumps({"version": 1, "gen": [{"key": code, "url": "a", "dimensions": {"i": {"stop": 1}}}]})
        url = f"reference://::data:application/json;base64,{base64.b64encode(document.encode()).decode()}"
        with pytest.raises(StorageUnsafe):
            Blobs(url)
        assert not target.exists()
