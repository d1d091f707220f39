"""`atelier demo` as a process, at a smaller size: its output and the pictures in its folder."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.bot.conftest import CONTENT, STYLE

ROOT = Path(__file__).parents[3]
SMALLER = """
from engine.presets import Preset
from tests.chaos import child

child.PRESETS["quick"] = Preset(96, 120)  # long enough for previews
child.shrink()
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder and the output of one run, in a directory with the .env of a real bot."""
    here = tmp_path_factory.mktemp("demo")
    (here / ".env").write_text(
        "DISCORD_TOKEN=mine\nDATABASE_URL=sqlite+aiosqlite:////nowhere/mine.db\nSCHEDULER=tcp://127.0.0.1:1\n"
    )
    (here / "smaller").mkdir()
    # Python imports this module when it starts, in the demo and in its child processes.
    (here / "smaller" / "sitecustomize.py").write_text(SMALLER)
    (here / "out").mkdir()
    (here / "out" / "preview-99.jpg").write_bytes(b"of an earlier run")
    (here / "town.png").write_bytes(CONTENT.data)
    (here / "strokes.png").write_bytes(STYLE.data)
    pictures = ("--out=out", "--content=town.png", "--style=strokes.png")
    with subprocess.Popen(
        [sys.executable, "-m", "bot", "demo", *pictures, "--quality=quick"],
        cwd=here,
        env=os.environ
        | {"PYTHONPATH": f"{ROOT}:{here / 'smaller'}", "COLUMNS": "200", "HEALTH_PORT": "1", "THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as demo:
        try:
            out, error = demo.communicate(timeout=100)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(demo.pid, signal.SIGKILL)  # the bot that it started has these pipes open, too
    assert (demo.returncode, error) == (0, ""), out + error
    return here / "out", out


def test_the_demo_shows_each_state_of_the_reply(finished: tuple[Path, str]) -> None:
    _, text = finished
    assert "Ada types /stylize content:town.png style:strokes.png" in text
    assert re.search(r"Atelier: Painting [▰▱]+ step \d+ of \d+ · about .+ left preview-\d\d.jpg", text)
    assert re.search(r"Atelier: Painted in .+ · \d+ × \d+ · recipe [`\w]+ final.png", text)


def test_the_demo_saves_previews_and_the_painting(finished: tuple[Path, str]) -> None:
    out, _ = finished
    with Image.open(out / "final.png") as final:
        assert final.width * 3 == final.height * 4
        previews = sorted(out.glob("preview-*.jpg"))
        assert [path.name for path in previews] == [f"preview-{n:02}.jpg" for n in range(1, len(previews) + 1)]
        for path in previews:
            with Image.open(path) as preview:
                assert preview.size == final.size


def test_the_demo_records_every_request(finished: tuple[Path, str]) -> None:
    out, _ = finished
    lines = [json.loads(line) for line in (out / "transcript.jsonl").read_text().splitlines()]
    assert {"time", "method", "path", "status", "request_bytes", "response_bytes"} == set(lines[0])
    assert [line["time"] for line in lines] == sorted(line["time"] for line in lines)
    assert any(line["method"] == "PUT" and line["path"].endswith("/commands") for line in lines)
    assert any(line["method"] == "POST" and line["path"].endswith("/callback") for line in lines)
    assert lines[-1]["method"] == "PATCH"
    assert lines[-1]["request_bytes"] > (out / "final.png").stat().st_size
    assert all(line["status"] < 300 for line in lines)
