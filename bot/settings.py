"""The operator's settings: environment variables and a ``.env`` file, each documented in ``.env.example``."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from engine.limits import Limits
from engine.recipe import Precision
from engine.worker import WorkerSettings

MEGABYTE = 2**20


def _without_slash(url: str) -> str:
    return url.rstrip("/")


Url = Annotated[str, AfterValidator(_without_slash)]


class Settings(BaseSettings):
    """Read once at start; raises ``pydantic.ValidationError`` naming what is wrong."""

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True)

    discord_token: SecretStr | None = None
    discord_api_url: Url = "https://discord.com/api/v10"
    discord_gateway_url: Url = "wss://gateway.discord.gg"
    discord_cdn_url: Url = "https://cdn.discordapp.com"

    data_directory: Path = Path("data")
    database_url: str | None = None

    scheduler: str | None = None
    vgg19_weights: str = "embedded"
    device: str = "auto"
    precision: Precision = "auto"
    threads: int | None = Field(default=None, ge=1)
    worker_memory_mb: int | None = Field(default=None, ge=2048)

    max_picture_mb: int = Field(default=16, ge=1, le=500)
    max_picture_megapixels: int = Field(default=64, ge=1, le=500)
    max_jobs_per_member: int = Field(default=3, ge=1)

    min_free_mb: int = Field(default=256, ge=0)

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["console", "json"] = "console"
    health_host: str = "127.0.0.1"
    health_port: int | None = Field(default=None, ge=0, le=65535)

    @property
    def database(self) -> str:
        """SQLAlchemy's URL of the database: SQLite under the data directory unless set."""
        return self.database_url or f"sqlite+aiosqlite:///{self.data_directory.resolve() / 'atelier.db'}"

    @property
    def limits(self) -> Limits:
        """What a picture from a member may measure."""
        return Limits(bytes=self.max_picture_mb * MEGABYTE, pixels=self.max_picture_megapixels * 1_000_000)

    @property
    def worker(self) -> WorkerSettings:
        """What every worker is told."""
        return WorkerSettings(
            weights=self.vgg19_weights,
            device=self.device,
            precision=self.precision,
            threads=self.threads,
            memory=self.worker_memory_mb and self.worker_memory_mb * MEGABYTE,
            limits=self.limits,
        )
