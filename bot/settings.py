"""The operator's settings: environment variables and a ``.env`` file. ``.env.example`` documents each of them.

A secret can be in a file: if ``NAME`` is a :data:`Secret`, ``NAME_FILE`` is the path of a file that contains it.
"""

import os
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from engine.images.limits import Limits
from engine.recipe import Precision
from engine.worker.protocol import WorkerSettings

MEBIBYTE: Final = 2**20
OWN_FILES: Final = r"atelier\.db.*|secret\.key.*|blobs|lost\+found"
"""A regular expression for the names of the bot's own files in its data directory."""
SHORTEST_TOKEN: Final = 16
"""Characters of the operators' token."""
DRIVERS: Final = ("sqlite+aiosqlite", "postgresql+asyncpg")


def _without_slash(url: str) -> str:
    return url.rstrip("/")


def _from_file(value: Any, setting: ValidationInfo) -> Any:
    """If ``NAME_FILE`` is set, the content of that file without its final line break. Else the value itself."""
    path: Path | None = setting.data.get(f"{setting.field_name}_file")
    if path is None:
        return value
    name = f"{setting.field_name}_FILE".upper()
    if value is not None:
        raise _wrong("{name} is set as well: set one of them", name=name)
    try:
        text = path.read_text(encoding="utf-8").strip("\r\n")
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise _wrong("{name} is {path}, which can't be read: {why}", name=name, path=str(path), why=why) from error
    except ValueError:
        text = ""  # the error must not quote the file
    if not text:
        raise _wrong("{name} is {path}, which holds no text", name=name, path=str(path))
    return text


def _known_database(value: SecretStr | None) -> SecretStr | None:
    """Reject an unusable URL with an error that does not quote it."""
    if value is None:
        return None
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        driver = make_url(value.get_secret_value()).drivername
    except (ArgumentError, ValueError):
        driver = ""
    if driver not in DRIVERS:
        raise _wrong("expected a URL that begins with {drivers}", drivers="://… or ".join(DRIVERS) + "://…")
    if not find_spec(driver.partition("+")[2]):
        raise _wrong("this database needs: pip install 'atelier[postgresql]'")
    return value


def _one_place(value: str | None) -> str | None:
    """Reject chained URLs, which neither bot nor worker opens."""
    if value is None:
        return None
    from engine.blobs import one_place
    from engine.errors import StorageUnsafe

    try:
        return one_place(value)
    except StorageUnsafe as error:
        raise _wrong("expected a folder or the URL of one place, without '::'") from error


def _usable_keys(value: SecretStr | None) -> SecretStr | None:
    """Reject a value without a valid key."""
    if value is None:
        return None
    from cryptography.fernet import Fernet

    keys = _parted(value)
    try:
        for key in keys:
            Fernet(key)
    except ValueError:
        keys = ()
    if not keys:
        raise _wrong("expected one or more keys, separated by commas; `atelier key` makes one")
    return value


def _unguessable(value: SecretStr | None) -> SecretStr | None:
    """Reject a token that is too short, or that an HTTP header can't carry."""
    if value is None:
        return None
    token = value.get_secret_value()
    if len(token) < SHORTEST_TOKEN or not re.fullmatch(r"[!-~]+", token):
        raise _wrong(
            "expected at least {least} letters, digits and signs without spaces; `atelier key` makes one",
            least=str(SHORTEST_TOKEN),
        )
    return value


def _parted(keys: SecretStr) -> tuple[str, ...]:
    return tuple(re.findall(r"[^,\s]+", keys.get_secret_value()))


def _ids(value: Any) -> Any:
    """Ids from a text, separated by commas or spaces."""
    if not isinstance(value, str):
        return value
    ids = re.findall(r"[^,\s]+", value)
    if not all(re.fullmatch(r"[0-9]{1,19}", each) for each in ids):
        raise _wrong("expected Discord's ids of users, separated by commas")
    return frozenset(map(int, ids))


def _wrong(sentence: Any, **values: str) -> PydanticCustomError:
    return PydanticCustomError("setting", sentence, values)


Url = Annotated[str, AfterValidator(_without_slash)]
Secret = Annotated[SecretStr | None, BeforeValidator(_from_file), Field(validate_default=True)]
"""A secret, which is neither shown nor logged. The field ``…_file`` of type ``Path | None`` comes before it."""


class Settings(BaseSettings):
    """Read once at start. Raises ``pydantic.ValidationError``, which names a wrong setting but not its value."""

    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    discord_token_file: Path | None = None
    discord_token: Secret = None
    discord_api_url: Url = "https://discord.com/api/v10"
    discord_gateway_url: Url = "wss://gateway.discord.gg"
    discord_cdn_url: Url = "https://cdn.discordapp.com"
    shard_id: int | None = Field(default=None, ge=0)
    shard_count: int | None = Field(default=None, ge=1)

    data_directory: Path = Path("data")
    database_url_file: Path | None = None
    database_url: Annotated[Secret, AfterValidator(_known_database)] = None
    secret_key_file: Path | None = None
    secret_key: Annotated[Secret, AfterValidator(_usable_keys)] = None
    blobs_url: Annotated[str | None, AfterValidator(_one_place)] = None
    keep_days: float = Field(default=7, ge=0, le=3650)
    max_storage_mb: int = Field(default=10240, ge=100)
    min_free_mb: int = Field(default=256, ge=0)

    scheduler: str | None = None
    tls_ca: Path | None = None
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    vgg19_weights: str = "embedded"
    device: str = "auto"
    precision: Precision = "auto"
    threads: int | None = Field(default=None, ge=1)
    worker_memory_mb: int | None = Field(default=None, ge=2048)

    max_picture_mb: int = Field(default=16, ge=1, le=500)
    max_picture_megapixels: int = Field(default=64, ge=1, le=500)
    max_jobs_per_member: int = Field(default=3, ge=1)
    max_jobs_per_day: int = Field(default=0, ge=0)
    max_styles_per_member: int = Field(default=50, ge=0)
    max_styles_per_server: int = Field(default=200, ge=0)
    style_networks: Path | None = None
    max_job_hours: float = Field(default=24, gt=0, le=8760)

    operator_ids: Annotated[frozenset[int] | None, NoDecode, BeforeValidator(_ids)] = None
    operator_token_file: Path | None = None
    operator_token: Annotated[Secret, AfterValidator(_unguessable)] = None
    operator_pictures: bool = False

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["console", "json"] = "console"
    health_host: str = "127.0.0.1"
    health_port: int | None = Field(default=None, ge=0, le=65535)

    @model_validator(mode="after")
    def _one_of_the_shards(self) -> Self:
        if (self.shard_id is None) != (self.shard_count is None):
            raise ValueError("set both SHARD_ID and SHARD_COUNT, or neither")
        if self.shard_id is not None and self.shard_count is not None and self.shard_id >= self.shard_count:
            raise ValueError(f"SHARD_ID goes from 0 to {self.shard_count - 1}")
        return self

    @property
    def database(self) -> str:
        """SQLAlchemy's URL of the database. It may contain a password. Default: SQLite in the data directory."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite+aiosqlite:///{self.data_directory.resolve() / 'atelier.db'}"

    @property
    def blobs(self) -> str:
        """The folder or URL of the blob store. Default: a folder in the data directory."""
        return self.blobs_url or str(self.data_directory.resolve() / "blobs")

    @property
    def secret_keys(self) -> tuple[str, ...]:
        """The keys for addresses, the newest first. Empty if the key is in the data directory."""
        return _parted(self.secret_key) if self.secret_key else ()

    @property
    def secrets(self) -> tuple[str, ...]:
        """All secrets, which no log may show."""
        texts = list(self.secret_keys)
        if self.discord_token is not None:
            texts.append(self.discord_token.get_secret_value())
        if self.database_url is not None:
            texts.append(self.database_url.get_secret_value())
        if self.operator_token is not None:
            texts.append(self.operator_token.get_secret_value())
        return tuple(texts)

    @staticmethod
    def forget_environment() -> None:
        """Remove the secrets from this process's environment, which its child processes inherit."""
        secrets = {name for name, field in Settings.model_fields.items() if field.annotation == SecretStr | None}
        for name in [name for name in os.environ if name.lower() in secrets]:
            del os.environ[name]

    @property
    def operators(self) -> frozenset[int]:
        """The ids of the members who may use ``/admin``."""
        return self.operator_ids or frozenset()

    @property
    def limits(self) -> Limits:
        """The limits for members' pictures."""
        return Limits(bytes=self.max_picture_mb * MEBIBYTE, pixels=self.max_picture_megapixels * 1_000_000)

    @property
    def worker(self) -> WorkerSettings:
        """The settings for every worker."""
        return WorkerSettings(
            weights=self.vgg19_weights,
            device=self.device,
            precision=self.precision,
            threads=self.threads,
            memory=self.worker_memory_mb and self.worker_memory_mb * MEBIBYTE,
            limits=self.limits,
            blobs=self.blobs,
        )
