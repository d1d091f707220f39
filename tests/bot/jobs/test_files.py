"""A job's bytes on disk: whole or not there, of its own job alone, and gone when they should be."""

import asyncio
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.jobs import files as module
from bot.jobs.files import JobFiles
from bot.jobs.job import new_id


@pytest.fixture
def files(tmp_path: Path) -> JobFiles:
    """An empty room for files, whose folder is not there yet."""
    return JobFiles(tmp_path / "data" / "jobs")


def everything(directory: Path) -> set[str]:
    """Each file below a directory, by its path from there."""
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


async def test_pictures_come_back_as_they_were_given(files: JobFiles) -> None:
    await files.save_inputs("a", b"content", [b"style"])
    assert await files.inputs("a") == (b"content", [b"style"])


async def test_many_styles_keep_their_order(files: JobFiles) -> None:
    styles = [f"style {number}".encode() for number in range(23)]
    await files.save_inputs("a", b"content", styles)
    assert await files.inputs("a") == (b"content", styles)


@given(data=st.binary(max_size=200), styles=st.lists(st.binary(max_size=50), max_size=3))
def test_any_bytes_come_back_as_they_were_given(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, styles: list[bytes]
) -> None:
    files = JobFiles(tmp_path_factory.getbasetemp() / "any")

    async def there_and_back() -> None:
        job = new_id()
        await files.save_inputs(job, data, styles)
        await files.save_checkpoint(job, data)
        assert await files.inputs(job) == (data, styles)
        assert await files.checkpoint(job) == data

    asyncio.run(there_and_back())


async def test_pictures_that_were_never_saved_are_missed_by_name(files: JobFiles) -> None:
    with pytest.raises(FileNotFoundError):
        await files.inputs("nobody")


async def test_a_job_that_was_never_painted_has_no_checkpoint(files: JobFiles) -> None:
    assert await files.checkpoint("a") is None


async def test_the_last_checkpoint_is_the_one_that_is_there(files: JobFiles) -> None:
    for number in range(3):
        await files.save_checkpoint("a", f"checkpoint {number}".encode())
    assert await files.checkpoint("a") == b"checkpoint 2"


@pytest.mark.parametrize("broken", ["os.fsync", "pathlib.Path.replace"])
async def test_a_checkpoint_that_can_not_be_written_leaves_the_one_before(
    files: JobFiles, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    await files.save_checkpoint("a", b"before")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(broken, fail)
    with pytest.raises(OSError, match="No space left"):
        await files.save_checkpoint("a", b"after, and longer")
    monkeypatch.undo()
    assert await files.checkpoint("a") == b"before"


async def test_bytes_are_forced_to_disk_before_they_take_their_name(
    files: JobFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []
    fsync, replace = os.fsync, Path.replace

    def noting_fsync(number: int) -> None:
        steps.append("fsync")
        fsync(number)

    def noting_replace(self: Path, target: Path) -> Path:
        steps.append("replace")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", noting_fsync)
    monkeypatch.setattr(Path, "replace", noting_replace)
    await files.save_checkpoint("a", b"checkpoint")
    assert steps == ["fsync", "replace"]


async def test_a_result_is_kept_where_it_says(files: JobFiles) -> None:
    kept = await files.save_result("a", b"picture", "png")
    assert (kept.read_bytes(), kept.suffix) == (b"picture", ".png")


async def test_a_job_that_ended_leaves_nothing_and_takes_nothing_of_others(files: JobFiles, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("of the operator")
    for job in ("a", "b"):
        await files.save_inputs(job, b"content", [b"style"])
        await files.save_checkpoint(job, b"checkpoint")
        await files.save_result(job, b"picture", "jpeg")
    of_b = {path for path in everything(tmp_path) if Path(path).parent.name == "b"}
    await files.remove("a")
    assert everything(tmp_path) == of_b | {"mine.txt"}
    assert len(of_b) == 4
    assert {path.name for path in (tmp_path / "data" / "jobs").iterdir()} == {"b"}


async def test_everything_of_a_job_lies_in_its_own_folder(files: JobFiles, tmp_path: Path) -> None:
    await files.save_inputs("a", b"content", [b"style"])
    await files.save_checkpoint("a", b"checkpoint")
    await files.save_result("a", b"picture", "png")
    assert {Path(path).parent for path in everything(tmp_path)} == {Path("data/jobs/a")}


async def test_removing_twice_is_harmless(files: JobFiles) -> None:
    await files.save_inputs("a", b"content", [])
    await files.remove("a")
    await files.remove("a")


async def test_a_write_that_was_interrupted_does_not_come_back_after_the_removal(
    files: JobFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, go_on = threading.Event(), threading.Event()
    write = module._write_durably

    def slow(path: Path, data: bytes) -> Path:
        began.set()
        assert go_on.wait(10)
        return write(path, data)

    monkeypatch.setattr(module, "_write_durably", slow)
    saving = asyncio.create_task(files.save_checkpoint("a", b"checkpoint"))
    await asyncio.to_thread(began.wait, 10)
    saving.cancel()
    # As the service does: what a job's work was cancelled for is removed once the work has ended.
    removing = asyncio.create_task(_remove_after(saving, files))
    await asyncio.sleep(0)
    go_on.set()
    await removing
    await asyncio.get_running_loop().shutdown_default_executor()
    assert saving.cancelled()
    assert everything(tmp_path) == set()


async def _remove_after(work: "asyncio.Task[None]", files: JobFiles) -> None:
    await asyncio.wait([work])
    await files.remove("a")
