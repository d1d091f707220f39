"""The process of the decoder: what it returns, and what happens when a picture ends it."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import TypeVar

import psutil
import pytest
from PIL import Image

from engine.errors import (
    PictureDamaged,
    PictureError,
    PictureTooLarge,
    PictureTooNarrow,
    PictureTooSmall,
)
from engine.images.animation import Clip, decode_frames
from engine.images.codec import Picture, decode
from engine.images.decoder import Decoder, memory_for
from engine.images.limits import Limits
from tests.engine.images import bombs, clips, corpus, hostile

linux = pytest.mark.skipif(sys.platform != "linux", reason="limits of processes are read from /proc")

ROOT = Path(__file__).parents[3]
T = TypeVar("T")
SCENE = corpus.saved(corpus.scene(), "PNG")


def endless() -> bytes:
    """A file that keeps a decoder busy for a minute: Pillow joins its EXIF blocks one by one."""
    return bombs.WITHIN["JPEG, 4000 EXIF blocks"]()


@pytest.fixture(scope="module")
def shared() -> Iterator[Decoder]:
    with Decoder() as decoder:
        yield decoder


@pytest.fixture
def patient() -> Iterator[Decoder]:
    """A decoder with limits of time that these tests never reach."""
    with Decoder(processor=100, deadline=100) as decoder:
        decoder.warm_up()
        yield decoder


def eventually(look: Callable[[], T]) -> T:
    """Wait until ``look`` returns a true value, and return it."""
    end = time.monotonic() + 60
    while not (found := look()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)
    return found


def forks(decoder: Decoder) -> list[psutil.Process]:
    """The processes that decode a picture now."""
    return [fork for each in decoder.processes() for fork in psutil.Process(each).children()]


def gone(process: int) -> bool:
    try:
        return psutil.Process(process).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def running_in_group(leader: int) -> list[int]:
    """A decoder and its forks. A fork that is watched from here could end before it is found."""
    found = []
    for process in psutil.pids():
        with contextlib.suppress(ProcessLookupError):
            if os.getpgid(process) == leader and not gone(process):
                found.append(process)
    return found


def outcome(decode: Callable[[], Picture]) -> tuple[object, ...]:
    """Everything that a caller can see of the result."""
    try:
        picture = decode()
    except PictureError as error:
        return type(error), *(() if isinstance(error, PictureDamaged) else error.args)
    return picture.rgb.size, picture.rgb.tobytes(), picture.alpha and picture.alpha.tobytes(), picture.shown


# --- The same as in this process ---


@pytest.mark.parametrize("longer_side", [None, 48])
@pytest.mark.parametrize("name", hostile.seeds())
def test_each_kind_of_file_decodes_as_in_this_process(shared: Decoder, name: str, longer_side: int | None) -> None:
    data = hostile.seeds()[name]
    there = outcome(lambda: shared.decode(data, longer_side=longer_side))
    assert there == outcome(lambda: decode(data, longer_side=longer_side))
    assert isinstance(there[0], tuple)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (Limits(bytes=len(SCENE) - 1), PictureTooLarge("bytes", len(SCENE), len(SCENE) - 1)),
        (Limits(pixels=6_000), PictureTooLarge("pixels", 96 * 64, 6_000)),
        (Limits(side=95), PictureTooLarge("side", 96, 95)),
        (Limits(least=65), PictureTooSmall(96, 64, 65)),
        (Limits(aspect=1), PictureTooNarrow(96, 64, 1)),
    ],
)
def test_each_refusal_has_all_its_fields(limits: Limits, expected: PictureError) -> None:
    with Decoder(limits) as decoder, pytest.raises(type(expected)) as refused:
        decoder.decode(SCENE)
    assert refused.value.args == expected.args


@pytest.mark.parametrize(
    "data",
    [
        SCENE[: -len(SCENE) // 3],
        SCENE[: -len(SCENE) // 20],
        SCENE[:-12],
        corpus.saved(Image.new("RGBA", (64, 64), (9, 9, 9, 0)), "PNG"),
        b"\0\0\0\x18ftypheic" + bytes(64),
        b"<html>" + bytes(64),
        b"",
    ],
)
def test_truncated_transparent_and_other_files_decode_as_in_this_process(shared: Decoder, data: bytes) -> None:
    there = outcome(lambda: shared.decode(data))
    assert there == outcome(lambda: decode(data))
    assert there[0] is not PictureDamaged


def test_the_largest_size_in_a_header_is_reported_exactly(shared: Decoder) -> None:
    with pytest.raises(PictureTooLarge) as refused:
        shared.decode(hostile.resized(SCENE, 2**32 - 1, 2**32 - 1))
    assert refused.value.value == 2**32 - 1


def test_the_detail_of_damage_is_reported(shared: Decoder) -> None:
    with pytest.raises(PictureDamaged) as damaged:
        shared.decode(corpus.saved(corpus.scene(), "AVIF")[:-99])
    assert damaged.value.detail.startswith("AVIF: SyntaxError: ")


def test_threads_decode_at_the_same_time(shared: Decoder) -> None:
    colours = [(level, 255 - level, 7) for level in range(0, 200, 5)]
    files = [corpus.saved(Image.new("RGB", (64, 64), colour), "PNG") for colour in colours]
    with ThreadPoolExecutor(4) as pool:
        found = [picture.rgb.getpixel((9, 9)) for picture in pool.map(shared.decode, files)]
    assert found == colours
    assert len(shared.processes()) <= 4


def test_a_picture_does_not_wait_for_a_slow_one(patient: Decoder) -> None:
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(patient.decode, endless())
        eventually(lambda: forks(patient))
        assert patient.decode(SCENE).width == 96
        assert not slow.done()
        patient.close()
        with pytest.raises(PictureDamaged):
            slow.result()


# --- Pictures that end a decoder ---


def begun(decoder: Decoder, pool: ThreadPoolExecutor) -> tuple["Future[Picture]", psutil.Process]:
    """A picture that is being decoded, and the process that does it."""
    decoding = pool.submit(decoder.decode, endless())
    (fork,) = eventually(lambda: forks(decoder))
    return decoding, fork


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT, signal.SIGXCPU])
def test_a_crash_fails_one_picture(patient: Decoder, number: signal.Signals) -> None:
    with ThreadPoolExecutor(1) as pool:
        decoding, fork = begun(patient, pool)
        fork.send_signal(number)
        with pytest.raises(PictureDamaged, match=f"the decoder was ended by {number.name}"):
            decoding.result()
    assert patient.decode(SCENE).width == 96
    assert patient.restarts == 1


def test_a_killed_decoder_fails_one_picture_and_leaves_nothing(patient: Decoder) -> None:
    with ThreadPoolExecutor(1) as pool:
        decoding, fork = begun(patient, pool)
        (process,) = patient.processes()
        os.kill(process, signal.SIGKILL)
        with pytest.raises(PictureDamaged, match="SIGKILL"):
            decoding.result()
    assert patient.decode(SCENE).width == 96
    eventually(partial(gone, fork.pid))
    assert gone(process)


@linux
def test_a_stopped_decoder_dies_with_its_process() -> None:
    program = (
        "from engine.images.decoder import Decoder\n"
        "decoder = Decoder()\n"
        "decoder.warm_up()\n"
        "print(*decoder.processes(), flush=True)\n"
        "input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, start_new_session=True
    ) as owner:
        assert owner.stdout is not None
        process = psutil.Process(int(owner.stdout.readline()))
        try:
            process.suspend()
            eventually(lambda: process.status() == psutil.STATUS_STOPPED)
            owner.kill()
            owner.wait()
            eventually(partial(gone, process.pid))
        finally:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def test_a_decoder_that_dies_while_idle_fails_no_picture(patient: Decoder) -> None:
    for _ in range(2):
        (process,) = patient.processes()
        os.kill(process, signal.SIGKILL)
        eventually(partial(gone, process))
        assert patient.decode(SCENE).width == 96
    assert patient.restarts == 2


def test_a_picture_that_takes_too_long_is_refused() -> None:
    with Decoder(deadline=0.3) as decoder:
        decoder.warm_up()
        (process,) = decoder.processes()
        assert running_in_group(process) == [process]
        with pytest.raises(PictureDamaged, match=r"not decoded within 0\.3 s"):
            decoder.decode(endless())
        eventually(lambda: not running_in_group(process))


def test_a_picture_that_needs_too_much_processor_is_refused() -> None:
    with Decoder(processor=1) as decoder:
        with pytest.raises(PictureDamaged, match="the decoder was ended by SIGXCPU"):
            decoder.decode(endless())
        assert decoder.decode(SCENE).width == 96


def test_a_decoder_that_waits_for_a_processor_fails_no_picture() -> None:
    with Decoder(processor=1) as decoder, ThreadPoolExecutor(1) as pool:
        decoder.warm_up()
        process = psutil.Process(*decoder.processes())
        process.suspend()
        decoding = pool.submit(decoder.decode, SCENE)
        assert not wait([decoding], timeout=1.5).done
        process.resume()
        assert decoding.result().width == 96


def test_a_decoder_that_hangs_is_killed() -> None:
    with Decoder(deadline=0.3) as decoder:
        decoder.warm_up()
        (process,) = decoder.processes()
        os.kill(process, signal.SIGSTOP)
        with pytest.raises(PictureDamaged, match="not decoded within"):
            decoder.decode(b"\x89PNG\r\n\x1a\n" + bytes(10 * 2**20))  # more than the socket takes unread
        assert gone(process)


@linux
@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "AVIF"])
def test_a_clip_arrives_as_it_is_decoded(shared: Decoder, format: str) -> None:
    data = clips.file(format, clips.frames(4, transparent=True))
    found, wanted = shared.decode_frames(data, 3, longer_side=48), decode_frames(data, 3, longer_side=48)
    assert isinstance(found, Clip)
    assert isinstance(wanted, Clip)
    assert found.milliseconds == wanted.milliseconds
    pixels = [
        [(each.rgb.tobytes(), each.alpha and each.alpha.tobytes()) for each in clip.frames] for clip in (found, wanted)
    ]
    assert pixels[0] == pixels[1]


@pytest.mark.parametrize("name", ["PNG, 1 bit", "GIF, 64 megapixels", "WEBP, canvas", "AVIF, understated"])
def test_only_the_picture_that_needs_too_much_memory_fails(name: str) -> None:
    data = bombs.made(name)
    with Decoder(memory=40 * 2**20) as decoder:
        for longer_side in (64, None):
            with pytest.raises(PictureDamaged):
                decoder.decode(data, longer_side=longer_side)
        assert decoder.decode(SCENE).width == 96


def test_the_default_memory_is_enough_for_the_largest_picture(patient: Decoder) -> None:
    picture = patient.decode(bombs.webp(8000, 8000, lossless=True, quality=0), longer_side=4096)
    assert picture.rgb.size == (4096, 4096)
    assert picture.alpha is not None
    assert patient.restarts == 0


# --- Confinement ---


@linux
def test_the_decoder_has_no_secrets_files_or_modules_it_does_not_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCORD_TOKEN", "hunter2")
    read, write = os.pipe()
    os.set_inheritable(write, True)
    try:
        with Decoder() as decoder:
            decoder.warm_up()
            (process,) = decoder.processes()
            folder = Path(f"/proc/{process}")
            assert b"hunter2" not in (folder / "environ").read_bytes()
            assert sorted(path.name for path in (folder / "fd").iterdir()) == ["0", "1", "2"]
            limits = (folder / "limits").read_text()
            for kind in ("Max open files", "Max file size", "Max core file size"):
                (line,) = (line for line in limits.splitlines() if line.startswith(kind))
                assert line.split()[-3:-1] == ["0", "0"]
            (line,) = (line for line in limits.splitlines() if line.startswith("Max address space"))
            assert decoder.memory < int(line.split()[-2]) < decoder.memory + 2**28
            loaded = (folder / "maps").read_text()
            assert "torch" not in loaded
            assert "PIL" in loaded
    finally:
        os.close(read)
        os.close(write)


def test_the_memory_limit_follows_from_the_picture_limits() -> None:
    assert memory_for(Limits()) < 1.7e9
    assert memory_for(Limits(pixels=1_000_000)) < 0.4e9


# --- Beginning and end ---


def test_closing_ends_all_processes(patient: Decoder) -> None:
    with ThreadPoolExecutor(1) as pool:
        decoding, fork = begun(patient, pool)
        patient.warm_up()
        processes = patient.processes()
        assert len(processes) == 2
        patient.close()
        with pytest.raises(PictureDamaged):
            decoding.result()
    eventually(lambda: all(gone(each) for each in (*processes, fork.pid)))
    with pytest.raises(RuntimeError, match="closed"):
        patient.decode(SCENE)


def test_the_decoder_ends_with_the_process_that_started_it() -> None:
    program = (
        "from engine.images.decoder import Decoder; decoder = Decoder(); decoder.warm_up();"
        "print(*decoder.processes(), flush=True); input()"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={"PYTHONPATH": str(ROOT)}
    )
    with owner:
        assert owner.stdout is not None
        process = int(owner.stdout.readline())
        assert not gone(process)
        owner.kill()
    eventually(partial(gone, process))
