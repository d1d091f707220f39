"""Names of style pictures, with and without a weight after a colon."""

from pathlib import Path, PureWindowsPath

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from engine.cli import arguments
from engine.cli.arguments import Style


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to look for pictures in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("typed", "path", "weight"),
    [
        ("starry.jpg", "starry.jpg", None),
        ("starry.jpg:0.7", "starry.jpg", 0.7),
        ("starry.jpg:7", "starry.jpg", 7),
        ("starry.jpg:7.", "starry.jpg", 7),
        ("starry.jpg:.7", "starry.jpg", 0.7),
        ("starry.jpg:1e-1", "starry.jpg", 0.1),
        ("starry.jpg:-1", "starry.jpg", -1),  # for the recipe to refuse
        ("a:b.jpg", "a:b.jpg", None),
        ("a:b.jpg:2", "a:b.jpg", 2),
        ("a:1:2", "a:1", 2),
        (r"C:\art\starry.jpg", r"C:\art\starry.jpg", None),
        (r"C:\art\starry.jpg:0.7", r"C:\art\starry.jpg", 0.7),
        ("C:starry.jpg", "C:starry.jpg", None),
        ("starry.jpg:nan", "starry.jpg:nan", None),
        ("starry.jpg:inf", "starry.jpg:inf", None),
        ("starry.jpg:1_0", "starry.jpg:1_0", None),
        ("starry.jpg:٧", "starry.jpg:٧", None),
        ("starry.jpg: 7", "starry.jpg: 7", None),
        (":7", ":7", None),
    ],
)
def test_the_weight_is_the_number_after_the_last_colon(typed: str, path: str, weight: float | None) -> None:
    assert arguments.style(typed) == Style(Path(path), weight)


def test_a_file_whose_name_contains_the_number_has_no_weight(folder: Path) -> None:
    (folder / "16:9").write_bytes(b"")
    assert arguments.style("16:9") == Style(Path("16:9"))
    assert arguments.style("16:9:2") == Style(Path("16:9"), 2)
    assert arguments.style("4:3") == Style(Path("4"), 3)


def test_an_invalid_weight_after_an_existing_file_is_refused(folder: Path) -> None:
    (folder / "starry.jpg").write_bytes(b"")
    for typed in ("starry.jpg:", "starry.jpg:0,7", "starry.jpg:much", "starry.jpg:nan", "starry.jpg: 1"):
        with pytest.raises(typer.BadParameter, match="is not a weight"):
            arguments.style(typed)
    (folder / "C").mkdir()
    windows = str(PureWindowsPath("C:/starry.jpg"))
    assert arguments.style(windows) == Style(Path(windows))


@given(st.from_regex(r"[a-z:.]{1,12}\.jpg", fullmatch=True), st.floats(0, 1e6))
def test_any_weight_is_read_exactly(name: str, weight: float) -> None:
    assert arguments.style(f"{name}:{weight!r}") == Style(Path(name), weight)
