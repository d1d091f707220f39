"""The bot starts without torch, and imports run one way: commands, jobs, engine."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "module",
    [
        "engine",
        "engine.recipe",
        "engine.images.codec",
        "engine.images.decoder_process",
        "engine.executor.executor",
        "engine.worker",
        "engine.cli.stylize",
        "bot.app",
    ],
)
def test_what_runs_in_the_bot_does_not_bring_torch(module: str) -> None:
    code = f"import sys, {module}; print(*sorted({{'torch', 'torchvision'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_what_computes_does_bring_torch() -> None:
    """Else the test above could not fail."""
    code = "import sys, engine.runtime.devices; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


def imported(path: Path) -> set[str]:
    """Every module named by an import anywhere in the file, those inside of functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = path.relative_to(ROOT).with_suffix("").parts[: -node.level] if node.level else ()
            base = ".".join([*package, *([node.module] if node.module else [])])
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return names


@pytest.mark.parametrize(
    ("room", "above"),
    [
        ("engine", ["bot", "discord", "sqlalchemy", "aiohttp"]),
        (
            "bot/jobs",
            ["discord", "torch", "bot.features", "bot.delivery", "bot.client", "bot.app"],
        ),
    ],
)
def test_no_room_looks_upward(room: str, above: list[str]) -> None:
    files = sorted((ROOT / room).rglob("*.py"))
    assert len(files) > 5
    looks = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files
        for name in imported(path)
        if any(name == each or name.startswith(f"{each}.") for each in above)
    }
    assert not looks


def test_the_look_at_imports_sees_them_wherever_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    path = tmp_path / "room" / "file.py"
    path.parent.mkdir()
    path.write_text("def f():\n    import a.b\n    from c import d\nfrom . import e\nfrom .g import h\n")
    assert {"a.b", "c.d", "room.e", "room.g.h"} <= imported(path)
