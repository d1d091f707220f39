"""The operator's settings: sources, validation, secrets, and their documentation."""

import os
import re
import traceback
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr, ValidationError
from sqlalchemy.engine import make_url

from bot.settings import Settings
from engine.images.limits import Limits

EXAMPLE = Path(__file__).parents[2] / ".env.example"
NAMES = {name.upper() for name in Settings.model_fields}
SECRETS = sorted(name for name in NAMES if f"{name}_FILE" in NAMES)
KEY = Fernet.generate_key().decode()
VALUES = {
    "DISCORD_TOKEN": "s3cret-token",
    "DATABASE_URL": "postgresql+asyncpg://atelier:s3cret-password@localhost/atelier",
    "SECRET_KEY": KEY,
    "OPERATOR_TOKEN": "s3cret-operators-token",
}
"""A value for each secret."""
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


def test_all_settings_are_optional() -> None:
    settings = Settings()
    assert settings.discord_token is None
    assert settings.scheduler is None
    assert settings.health_port is None
    assert settings.health_host == "127.0.0.1"
    assert (settings.max_jobs_per_member, settings.log_level, settings.log_format) == (3, "INFO", "console")
    assert (settings.max_job_hours, settings.keep_days) == (24, 7)
    assert (settings.max_storage_mb, settings.min_free_mb) == (10240, 256)
    assert settings.limits == Limits(bytes=16 * 2**20, pixels=64_000_000)


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_PICTURE_MB", "5")
    monkeypatch.setenv("discord_token", "abc")
    settings = Settings()
    assert settings.limits.bytes == 5 * 2**20
    assert settings.discord_token == SecretStr("abc")


@pytest.mark.parametrize("shards", [{"SHARD_ID": "0"}, {"SHARD_COUNT": "2"}, {"SHARD_ID": "2", "SHARD_COUNT": "2"}])
def test_an_incomplete_or_invalid_shard_is_rejected(shards: dict[str, str]) -> None:
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


def test_unknown_names_in_dotenv_are_ignored() -> None:
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
        ("KEEP_DAYS", "-1"),
        ("KEEP_DAYS", "nan"),
        ("MAX_JOB_HOURS", "0"),
        ("MAX_JOB_HOURS", "inf"),
        ("MAX_STORAGE_MB", "1"),
        ("MIN_FREE_MB", "-1"),
        ("DATABASE_URL", "atelier.db"),
        ("DATABASE_URL", "postgresql+asyncpg://atelier:p@localhost:port/atelier"),
        ("DATABASE_URL", "postgres://atelier:p@localhost/atelier"),
        ("DATABASE_URL", "postgresql+psycopg://atelier:p@localhost/atelier"),
        ("SECRET_KEY", "correct horse battery staple"),
        ("SECRET_KEY", ","),
        pytest.param("SECRET_KEY", f"{KEY},{KEY[:-3]}", id="SECRET_KEY-cut off"),
    ],
)
@pytest.mark.parametrize("place", ["environment", "dotenv"])
def test_the_error_for_an_invalid_value_names_its_variable(
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


def test_the_error_names_all_invalid_values() -> None:
    written("THREADS=none", "LOG_FORMAT=xml")
    with pytest.raises(ValidationError) as refused:
        Settings()
    assert {problem["loc"][0] for problem in refused.value.errors()} == {"threads", "log_format"}


@pytest.mark.parametrize("name", URLS)
def test_a_final_slash_of_a_url_is_removed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "https://proxy.example/discord//")
    assert getattr(Settings(), name.lower()) == "https://proxy.example/discord"


class TestASecret:
    @pytest.fixture(params=SECRETS)
    def name(self, request: pytest.FixtureRequest) -> str:
        """The name of each secret setting."""
        name: str = request.param
        return name

    @staticmethod
    def of(settings: Settings, name: str) -> str | None:
        """A valid value of the secret."""
        secret: SecretStr | None = getattr(settings, name.lower())
        return secret.get_secret_value() if secret else None

    @staticmethod
    def refused(name: str) -> str:
        """The error at the start."""
        with pytest.raises(ValidationError) as refused:
            Settings()
        (problem,) = refused.value.errors(include_input=False)
        assert problem["loc"] == (name.lower(),)
        return problem["msg"]

    def test_is_the_type_of_every_hidden_setting(self) -> None:
        hidden = {name for name in NAMES if "SecretStr" in str(Settings.model_fields[name.lower()].annotation)}
        assert set(SECRETS) == hidden == set(VALUES)

    def test_is_not_shown(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(name, VALUES[name])
        settings = Settings()
        assert self.of(settings, name) == VALUES[name]
        shown = f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
        assert VALUES[name] not in shown
        assert "s3cret" not in shown

    def test_is_not_logged(self, name: str) -> None:
        settings = Settings.model_validate({name.lower(): VALUES[name]})
        assert settings.secrets == (VALUES[name],)
        assert Settings().secrets == ()

    @pytest.mark.parametrize("place", ["environment", "dotenv"])
    @pytest.mark.parametrize("end", ["", "\n", "\r\n"])
    def test_is_read_from_a_file(
        self, name: str, place: str, end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = tmp_path / "se cret"
        file.write_bytes(f"{VALUES[name]}{end}".encode())
        if place == "environment":
            monkeypatch.setenv(f"{name}_FILE", str(file))
        else:
            written(f"{name}_FILE='{file}'")
        assert self.of(Settings(), name) == VALUES[name]

    def test_is_not_read_from_a_file_with_an_empty_name(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(f"{name}_FILE", "")
        written(f"{name}={VALUES[name]}")
        assert self.of(Settings(), name) == VALUES[name]

    @pytest.mark.parametrize("places", ["both in the environment", "apart"])
    def test_cannot_be_set_twice(self, name: str, places: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "secret").write_text(VALUES[name])
        monkeypatch.setenv(f"{name}_FILE", str(tmp_path / "secret"))
        if places == "apart":
            written(f"{name}={VALUES[name]}")
        else:
            monkeypatch.setenv(name, VALUES[name])
        assert f"{name}_FILE" in self.refused(name)

    @pytest.mark.parametrize(
        ("content", "why"),
        [(None, "No such file"), ("directory", "Is a directory"), (b"\n", "no text"), (b"\xff", "text")],
    )
    def test_in_an_unreadable_file_raises_an_error_with_its_path(
        self, name: str, content: bytes | str | None, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = tmp_path / "secret"
        if isinstance(content, bytes):
            file.write_bytes(content)
        elif content:
            file.mkdir()
        monkeypatch.setenv(f"{name}_FILE", str(file))
        told = self.refused(name)
        assert why in told
        assert f"{name}_FILE" in told
        assert str(file) in told

    def test_in_a_file_is_validated(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "secret").write_text("s3cret-password")
        for name in ("DATABASE_URL", "SECRET_KEY"):
            with monkeypatch.context() as patch:
                patch.setenv(f"{name}_FILE", str(tmp_path / "secret"))
                assert self.refused(name)

    def test_is_not_in_an_error(self) -> None:
        written(
            "DISCORD_TOKEN=s3cret-token",
            "DATABASE_URL=postgresql+asyncpg://atelier:s3cret-password@localhost:port/atelier",
            "SECRET_KEY=s3cret-key",
            "THREADS=two",
        )
        with pytest.raises(ValidationError) as refused:
            Settings()
        assert len(refused.value.errors()) == 3
        assert "s3cret" not in "".join(traceback.format_exception(refused.value))
        assert "s3cret" not in str(refused.value.errors(include_input=False))


@pytest.mark.parametrize("text", ["{new},{old}", " {new} , {old},", "{new}\n{old}\n"])
def test_keys_are_split(text: str) -> None:
    new, old = KEY, Fernet.generate_key().decode()
    assert Settings(secret_key=SecretStr(text.format(new=new, old=old))).secret_keys == (new, old)
    assert Settings().secret_keys == ()


@pytest.mark.parametrize("token", ["fifteen-letters", "sixteen  letters", "sixteen-lettérs-"])
def test_an_operator_token_is_long_and_fits_into_a_header(token: str) -> None:
    with pytest.raises(ValidationError, match="at least 16 letters") as refused:
        Settings(operator_token=SecretStr(token))
    assert token not in str(refused.value)
    assert "sixteen-letters-" in Settings(operator_token=SecretStr("sixteen-letters-")).secrets


def test_settings_are_frozen() -> None:
    settings = Settings()
    with pytest.raises(ValidationError):
        settings.threads = 3  # type: ignore[misc]


def test_the_default_database_is_in_the_data_directory(tmp_path: Path) -> None:
    settings = Settings(data_directory=Path("my data"))
    url = make_url(settings.database)
    assert url.drivername == "sqlite+aiosqlite"
    assert url.database == str(tmp_path / "my data" / "atelier.db")


def test_a_database_url_is_used_unchanged() -> None:
    url = "postgresql+asyncpg://atelier:p@localhost/atelier"
    assert Settings(database_url=SecretStr(url)).database == url


def test_blobs_are_in_the_data_directory_by_default(tmp_path: Path) -> None:
    assert Settings(data_directory=Path("my data")).blobs == str(tmp_path / "my data" / "blobs")
    assert Settings(blobs_url="s3://bucket/atelier").blobs == "s3://bucket/atelier"
    with pytest.raises(ValidationError, match="one place"):
        Settings(blobs_url="simplecache::s3://bucket/atelier")


def test_workers_get_their_settings() -> None:
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

    def test_describes_each_setting(self) -> None:
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


def test_child_processes_inherit_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISCORD_TOKEN", "database_url", "SECRET_KEY", "LOG_LEVEL"):
        monkeypatch.setenv(name, "anything")
    Settings.forget_environment()
    assert {"DISCORD_TOKEN", "database_url", "SECRET_KEY"} & set(os.environ) == set()
    assert os.environ["LOG_LEVEL"] == "anything"
