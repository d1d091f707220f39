"""The operator's settings: what they may say, where they are read, and that each is documented."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError
from sqlalchemy.engine import make_url

from bot.settings import Settings
from engine.limits import Limits

EXAMPLE = Path(__file__).parents[2] / ".env.example"
NAMES = {name.upper() for name in Settings.model_fields}
URLS = ["DISCORD_API_URL", "DISCORD_GATEWAY_URL", "DISCORD_CDN_URL"]


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without .env, in an environment without settings."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.upper() in NAMES:
            monkeypatch.delenv(name)


def written(*lines: str) -> None:
    """Write .env."""
    Path(".env").write_text("\n".join(lines), encoding="utf-8")


def documented(pattern: str) -> list[tuple[str, str]]:
    """Names and values in .env.example."""
    return re.findall(pattern, EXAMPLE.read_text(encoding="utf-8"), re.MULTILINE)


def test_nothing_needs_to_be_set() -> None:
    settings = Settings()
    assert settings.discord_token is None
    assert settings.scheduler is None
    assert settings.health_port is None
    assert settings.health_host == "127.0.0.1"
    assert (settings.max_jobs_per_member, settings.log_level, settings.log_format) == (3, "INFO", "console")
    assert settings.limits == Limits(bytes=16 * 2**20, pixels=64_000_000)


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_PICTURE_MB", "5")
    monkeypatch.setenv("discord_token", "abc")
    settings = Settings()
    assert settings.limits.bytes == 5 * 2**20
    assert settings.discord_token == SecretStr("abc")


@pytest.mark.parametrize("shards", [{"SHARD_ID": "0"}, {"SHARD_COUNT": "2"}, {"SHARD_ID": "2", "SHARD_COUNT": "2"}])
def test_half_a_shard_and_one_too_many_are_refused(shards: dict[str, str]) -> None:
    written(*(f"{name}={value}" for name, value in shards.items()))
    with pytest.raises(ValidationError, match="SHARD_"):
        Settings()


def test_dotenv_is_read() -> None:
    written("# mine", "DISCORD_TOKEN='a.b-c_d'", 'DATA_DIRECTORY="/srv/Bücher und Bilder"', "", "export THREADS=3")
    settings = Settings()
    assert settings.discord_token == SecretStr("a.b-c_d")
    assert (settings.data_directory, settings.threads) == (Path("/srv/Bücher und Bilder"), 3)


def test_the_environment_wins_over_dotenv(monkeypatch: pytest.MonkeyPatch) -> None:
    written("DEVICE=cuda", "PRECISION=float32")
    monkeypatch.setenv("DEVICE", "cpu")
    assert (Settings().device, Settings().precision) == ("cpu", "float32")


def test_what_others_set_in_dotenv_does_not_matter() -> None:
    written("COMPOSE_PROJECT_NAME=atelier", "DEVICE=cpu")
    assert Settings().device == "cpu"


@pytest.mark.parametrize("name", sorted(NAMES))
def test_an_empty_value_is_the_default(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    default = Settings()
    written(f"{name}=")
    assert Settings() == default
    monkeypatch.setenv(name, "")
    assert Settings() == default


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_PICTURE_MB", "0"),
        ("MAX_PICTURE_MB", "501"),
        ("MAX_PICTURE_MB", "16 MB"),
        ("MAX_PICTURE_MEGAPIXELS", "-1"),
        ("MAX_JOBS_PER_MEMBER", "0"),
        ("THREADS", "0"),
        ("THREADS", "two"),
        ("WORKER_MEMORY_MB", "64"),
        ("PRECISION", "float16"),
        ("LOG_LEVEL", "LOUD"),
        ("LOG_FORMAT", "xml"),
        ("HEALTH_PORT", "65536"),
        ("HEALTH_PORT", "http"),
    ],
)
@pytest.mark.parametrize("place", ["environment", "dotenv"])
def test_a_bad_value_is_refused_by_the_name_of_its_variable(
    name: str, value: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if place == "environment":
        monkeypatch.setenv(name, value)
    else:
        written(f"{name}={value}")
    with pytest.raises(ValidationError) as refused:
        Settings()
    (problem,) = refused.value.errors()
    assert ".".join(map(str, problem["loc"])).upper() == name


def test_every_bad_value_is_named_at_once() -> None:
    written("THREADS=none", "LOG_FORMAT=xml")
    with pytest.raises(ValidationError) as refused:
        Settings()
    assert {problem["loc"][0] for problem in refused.value.errors()} == {"threads", "log_format"}


@pytest.mark.parametrize("name", URLS)
def test_a_slash_at_the_end_of_an_address_is_no_other_address(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "https://proxy.example/discord//")
    assert getattr(Settings(), name.lower()) == "https://proxy.example/discord"


def test_the_token_is_not_shown() -> None:
    settings = Settings(discord_token=SecretStr("s3cret-token"))
    assert "s3cret" not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"


def test_settings_do_not_change() -> None:
    settings = Settings()
    with pytest.raises(ValidationError):
        settings.threads = 3  # type: ignore[misc]


def test_the_database_lies_in_the_data_directory(tmp_path: Path) -> None:
    settings = Settings(data_directory=Path("my data"))
    url = make_url(settings.database)
    assert url.drivername == "sqlite+aiosqlite"
    assert url.database == str(tmp_path / "my data" / "atelier.db")


def test_another_database_is_taken_as_it_is() -> None:
    url = "postgresql+asyncpg://atelier:p@localhost/atelier"
    assert Settings(database_url=url).database == url


def test_workers_are_told_what_concerns_them() -> None:
    settings = Settings(
        vgg19_weights="torchvision", device="cpu", precision="float32", threads=2, worker_memory_mb=3072
    )
    worker = settings.worker
    assert (worker.weights, worker.device, worker.precision, worker.threads) == ("torchvision", "cpu", "float32", 2)
    assert (worker.memory, worker.limits) == (3 * 2**30, settings.limits)
    assert Settings().worker.memory is None


class TestTheExample:
    def test_documents_every_setting_and_no_other(self) -> None:
        names = [name for name, _ in documented(r"^#?([A-Z][A-Z0-9_]*)=(.*)$")]
        assert sorted(names) == sorted(NAMES)

    def test_says_something_of_each(self) -> None:
        lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
        is_setting = re.compile(r"#?[A-Z][A-Z0-9_]*=")
        for number, line in enumerate(lines):
            if is_setting.match(line):
                above = lines[number - 1]
                assert above.startswith("# ") or is_setting.match(above), line

    def test_is_a_dotenv_that_sets_nothing(self) -> None:
        assert Settings(_env_file=EXAMPLE) == Settings(_env_file=None)

    def test_shows_the_defaults(self) -> None:
        shown = dict(documented(r"^#([A-Z][A-Z0-9_]*)=(.*)$"))
        written(*(f"{name}={value}" for name, value in shown.items()))
        assert Settings() == Settings(_env_file=None)
        defaults: dict[str, Any] = Settings(_env_file=None).model_dump(exclude_none=True)
        assert {name for name, value in shown.items() if value} == {name.upper() for name in defaults}
