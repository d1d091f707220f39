"""`atelier demo` as a newcomer runs it: a process, a terminal, a folder of pictures."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.bot.conftest import CONTENT, STYLE


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder that one run filled, and what it printed; begun beside a .env of somebody's own."""
    here = tmp_path_factory.mktemp("demo")
    (here / ".env").write_text(
        "DISCORD_TOKEN=mine\nDATABASE_URL=sqlite+aiosqlite:////nowhere/mine.db\nSCHEDULER=tcp://127.0.0.1:1\n"
    )
    (here / "out").mkdir()
    (here / "out" / "preview-99.jpg").write_bytes(b"of an earlier run")
    (here / "town.png").write_bytes(CONTENT.data)
    (here / "strokes.png").write_bytes(STYLE.data)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "bot",
            "demo",
            "--out=out",
            "--content=town.png",
            "--style=strokes.png",
            "--quality=quick",
        ],
        cwd=here,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3]), "COLUMNS": "200", "HEALTH_PORT": "1"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return here / "out", done.stdout


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
