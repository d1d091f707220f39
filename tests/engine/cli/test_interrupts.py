"""Ctrl-C in ``atelier stylize``: the first ends the painting and saves it, the second discards it."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engine.cli.conftest import SMALL, opened, run
from tests.engine.runtime.test_openmp import reporting_openmp


def test_ctrl_c_ends_the_painting_and_saves_it(interrupted: Callable[[int], None], folder: Path) -> None:
    interrupted(1)
    done = run("photo.png", "style.jpg", "-o", "out.png", *SMALL, "--steps", "5000")
    assert done.exit_code == 0, done.output
    assert "Stopped early after 3 of 5,000 steps." in done.stderr
    assert opened(folder / "out.png").size == (64, 43)


def test_a_second_ctrl_c_discards_the_painting(interrupted: Callable[[int], None], folder: Path) -> None:
    interrupted(2)
    done = run("photo.png", "style.jpg", "-o", "out.png", *SMALL, "--steps", "5000")
    assert done.exit_code == 1
    assert "Cancelled." in done.stderr
    assert not (folder / "out.png").exists()


def test_the_signal_handler_is_restored_after_a_painting(folder: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    assert run("photo.png", "style.jpg", "-o", "out.png", *SMALL).exit_code == 0
    assert signal.getsignal(signal.SIGINT) is before


def test_a_process_saves_its_previews_and_its_picture_on_sigint(folder: Path) -> None:
    """Its OpenMP threads spin briefly."""
    arguments = ("photo.png", "style.jpg", "-o", "out.png", "--previews", "previews", *SMALL, "--steps", "10000")
    with subprocess.Popen(
        [sys.executable, "-m", "bot", "stylize", *arguments],
        env=reporting_openmp(),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            while process.poll() is None and not list((folder / "previews").glob("*.jpg")):
                with pytest.raises(subprocess.TimeoutExpired):
                    process.wait(0.05)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate()
        finally:
            process.kill()
    assert process.returncode == 0, said
    assert "Stopped early after" in said
    assert "GOMP_SPINCOUNT = '1000'" in said or sys.platform != "linux"  # only GNU's library tells
    assert opened(folder / "out.png").size == (64, 43)
    preview = min((folder / "previews").iterdir())
    assert opened(preview).size == (64, 43)
    assert int(preview.stem.removeprefix("preview-")) >= 1
