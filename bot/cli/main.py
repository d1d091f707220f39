"""``atelier``: every command of the command line. Rooms are imported when a command needs them, not before."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from pydantic import ValidationError
from rich.console import Console

from bot.cli import cluster
from engine.cli.stylize import stylize
from engine.cluster.signals import end_on_signals, reap_as_process_1
from engine.presets import Quality

if TYPE_CHECKING:
    from bot.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="A Discord bot that paints. Try it without Discord: [bold]atelier demo[/].",
)
app.command()(stylize)
app.command()(cluster.scheduler)
app.command()(cluster.worker)
app.add_typer(cluster.app, name="cluster")
errors = Console(stderr=True)


def main() -> None:
    """Entry point of ``atelier``."""
    reap_as_process_1()
    try:
        app()
    except Exception as error:
        from engine.errors import ours
        from engine.texts import explain

        if (known := ours(error)) is None:
            raise
        _tell(explain(known))
        raise SystemExit(1) from None


@app.command()
def run() -> None:
    """Run the bot until Ctrl-C or SIGTERM. Settings come from the environment and .env: see .env.example."""
    end_on_signals()

    async def start(settings: "Settings", token: str) -> None:
        from bot.app import run as run_bot

        await run_bot(settings, token)

    _with_discord(start)


@app.command()
def sync(
    guild: Annotated[int | None, typer.Option(help="Register for this server only, by id; instant.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Register even if nothing changed.")] = False,
) -> None:
    """Register the commands with Discord, if they changed since the last time."""

    async def register(settings: "Settings", token: str) -> None:
        from bot import features
        from bot.app import open_store
        from bot.client.client import Atelier
        from bot.client.sync import sync as sync_commands

        async with open_store(settings) as store, Atelier(settings) as client:
            features.load(client)
            await client.login(token)
            outcome = await sync_commands(client, store, guild, force=force)
            typer.echo(f"Commands {outcome} for {f'server {guild}' if guild else 'all servers'}.")

    _with_discord(register)


@app.command()
def doctor() -> None:
    """Say what works on this machine, and what to do about what doesn't. Exit code 1 if something doesn't."""
    settings = _settings()
    from bot.cli.doctor import examine
    from bot.telemetry.logs import escaped

    console = Console()

    async def look() -> bool:
        well = True
        async for finding in examine(settings):
            console.print("[green]✓[/]" if finding.works else "[red]✗[/]", f"[bold]{finding.subject}[/]:", end=" ")
            console.print(escaped(finding.detail), markup=False, highlight=False)
            well = well and finding.works
        return well

    raise typer.Exit(0 if asyncio.run(look()) else 1)


@app.command()
def key() -> None:
    """Make a key for SECRET_KEY, which encrypts interaction tokens in the database."""
    from bot.jobs.database.cipher import new_key

    typer.echo(new_key())


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Where pictures and transcript go.")] = Path("demo"),
    content: Annotated[
        Path | None, typer.Option(help="A photo of yours.", show_default="a drawn one", exists=True, dir_okay=False)
    ] = None,
    style: Annotated[
        Path | None, typer.Option(help="A style of yours.", show_default="a drawn one", exists=True, dir_okay=False)
    ] = None,
    quality: Annotated[Quality, typer.Option(help="How large and how well; better takes longer.")] = "standard",
) -> None:
    """Run everything once without Discord: a local Discord, the real bot, a worker, a member who asks for a picture."""
    from bot.demo.show import show

    raise typer.Exit(show(out, content, style, quality))


def _settings() -> "Settings":
    from bot.settings import Settings

    try:
        return Settings()
    except ValidationError as error:
        for problem in error.errors(include_input=False):
            errors.print(f"{'.'.join(map(str, problem['loc'])).upper()}: {problem['msg']}", markup=False)
        raise typer.Exit(2) from error


def _with_discord(act: "Callable[[Settings, str], Coroutine[Any, Any, None]]") -> None:
    """Run ``act`` with settings and token; what an operator can mend ends in a sentence, not in a traceback."""
    settings = _settings()
    if settings.discord_token is None:
        _end("There is no token: put DISCORD_TOKEN into the environment or into .env (atelier demo needs none).", 2)

    # After what most often ends it: they take a second.
    import aiohttp
    import discord
    import structlog
    from sqlalchemy.exc import SQLAlchemyError

    from bot.telemetry import logs
    from bot.telemetry.redaction import redacted
    from engine.errors import ours
    from engine.texts import explain

    token = settings.discord_token.get_secret_value()
    settings.forget_environment()
    logs.configure(settings.log_level, settings.log_format, *settings.secrets)

    def told(sentence: str) -> str:
        return redacted(sentence, *settings.secrets)

    try:
        asyncio.run(act(settings, token))
    except discord.LoginFailure:
        _end("Discord refuses the token: copy it again from the Developer Portal, page Bot, into DISCORD_TOKEN.", 2)
    except (aiohttp.ClientError, discord.GatewayNotFound) as error:
        _end(told(f"Discord can't be reached at {settings.discord_api_url}: {error}"), 1)
    except discord.HTTPException as error:
        _end(told(f"Discord answers with an error: {error}."), 1)
    except SQLAlchemyError as error:
        _end(told(f"The database can't be used: {error}. Look at DATABASE_URL, or run atelier doctor."), 1)
    except discord.ConnectionClosed as error:
        _end(f"Discord closed the connection for good, with code {error.code}: {_closed(error.code)}.", 1)
    except Exception as error:
        known = ours(error)
        if known is not None or isinstance(error, OSError):
            sentence = explain(known) if known is not None else f"{error}."
            _end(told(f"{sentence} Run atelier doctor to see what works."), 1)
        # Through the log, which shows no secret: what Python prints by itself might.
        structlog.get_logger(__name__).exception("stopped by a fault of ours")
        raise typer.Exit(1) from error


def _closed(code: int) -> str:
    """What a close code of the gateway means (Discord's documentation: Gateway Close Event Codes)."""
    return {
        4004: "it refuses the token",
        4010: "SHARD_ID and SHARD_COUNT are not valid",
        4011: "the bot is in too many servers for one process; set SHARD_ID and SHARD_COUNT",
    }.get(code, "see Gateway Close Event Codes in Discord's documentation")


def _end(sentence: str, code: int) -> NoReturn:
    _tell(sentence)
    raise typer.Exit(code)


def _tell(sentence: str) -> None:
    errors.print(sentence, style="red", markup=False, highlight=False, soft_wrap=True)
