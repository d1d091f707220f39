"""`atelier demo` as a newcomer runs it, at a smaller size: a process, a terminal, a folder of pictures."""

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
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder that one run filled, and what it printed; begun beside a .env of somebody's own."""
    here = tmp_path_factory.mktemp("demo")
    (here / ".env").write_text(
        "DISCORD_TOKEN=mine\nDATABASE_URL=sqlite+aiosqlite:////nowhere/mine.db\nSCHEDULER=tcp://127.0.0.1:1\n"
    )
    (here / "smaller").mkdir()
    # Python imports this by itself when it starts, in the demo and in all that it starts.
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
                os.killpg(demo.pid, signal.SIGKILL)  # the bot that it started holds these pipes as well
    assert (demo.returncode, error) == (0, ""), out + error
    return here / "out", out


def test_shows_each_state_of_the_reply(shown: tuple[Path, str]) -> None:
    _, text = shown
    assert "Ada types /stylize content:town.png style:strokes.png" in text
    assert re.search(r"Atelier: Painting [▰▱]+ step \d+ of \d+ · about .+ left preview-\d\d.jpg", text)
    assert re.search(r"Atelier: Painted in .+ · \d+ × \d+ · recipe [`\w]+ final.png", text)


def test_saves_previews_and_the_painting(shown: tuple[Path, str]) -> None:
    out, _ = shown
    with Image.open(out / "final.png") as final:
        assert final.width * 3 == final.height * 4
        previews = sorted(out.glob("preview-*.jpg"))
        assert [path.name for path in previews] == [f"preview-{n:02}.jpg" for n in range(1, len(previews) + 1)]
        for path in previews:
            with Image.open(path) as preview:
                assert preview.size == final.size


def test_writes_down_every_request(shown: tuple[Path, str]) -> None:
    out, _ = shown
    lines = [json.loads(line) for line in (out / "transcript.jsonl").read_text().splitlines()]
    assert {"time", "method", "path", "status", "request_bytes", "response_bytes"} == set(lines[0])
    assert [line["time"] for line in lines] == sorted(line["time"] for line in lines)
    assert any(line["method"] == "PUT" and line["path"].endswith("/commands") for line in lines)
    assert any(line["method"] == "POST" and line["path"].endswith("/callback") for line in lines)
    assert lines[-1]["method"] == "PATCH"
    assert lines[-1]["request_bytes"] > (out / "final.png").stat().st_size
    assert all(line["status"] < 300 for line in lines)
