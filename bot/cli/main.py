"""The command line ``atelier``. Each command imports what it needs when it runs, so that ``--help`` is fast."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from pydantic import ValidationError
from rich.console import Console

from bot.cli import cluster
from bot.cli.cluster import end, errors, print_error
from engine.cli.stylize import stylize
from engine.cli.train import train
from engine.cluster.signals import end_on_signals, reap_as_process_1
from engine.presets import Quality

if TYPE_CHECKING:
    from bot.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="A Discord bot that paints. Try it without Discord: [bold]atelier sandbox[/].",
)
app.command()(stylize)
app.command()(train)
app.command()(cluster.scheduler)
app.command()(cluster.worker)
app.add_typer(cluster.app, name="cluster")


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
        print_error(explain(known))
        raise SystemExit(1) from None


@app.command()
def run() -> None:
    """Run the bot until Ctrl-C or SIGTERM. The environment and .env hold its settings: see .env.example."""
    end_on_signals()

    async def start(settings: "Settings", token: str) -> None:
        from bot.app import run as run_bot

        await run_bot(settings, token)

    _with_discord(start)


@app.command()
def sync(
    guild: Annotated[int | None, typer.Option(help="Register only for the server with this id.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Register even if no command changed.")] = False,
) -> None:
    """Register the commands with Discord if they changed."""

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
    """Check what works on this machine, and say how to fix what doesn't. Exit code 1 if something doesn't work."""
    settings = _settings()
    from bot.cli.doctor import examine
    from bot.telemetry.logs import escaped

    console = Console()

    async def print_checks() -> bool:
        all_work = True
        async for check in examine(settings):
            console.print("[green]✓[/]" if check.works else "[red]✗[/]", f"[bold]{check.subject}[/]:", end=" ")
            console.print(escaped(check.detail), markup=False, highlight=False)
            all_work = all_work and check.works
        return all_work

    raise typer.Exit(0 if asyncio.run(print_checks()) else 1)


@app.command()
def key() -> None:
    """Make a key for SECRET_KEY, which encrypts interaction tokens in the database."""
    from bot.jobs.database.cipher import new_key

    typer.echo(new_key())


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="The folder for pictures and transcript.")] = Path("demo"),
    content: Annotated[
        Path | None, typer.Option(help="Your own photo.", show_default="a drawn one", exists=True, dir_okay=False)
    ] = None,
    style: Annotated[
        Path | None, typer.Option(help="Your own style.", show_default="a drawn one", exists=True, dir_okay=False)
    ] = None,
    quality: Annotated[Quality, typer.Option(help="Size and quality; a better one takes longer.")] = "standard",
) -> None:
    """Paint one picture without Discord: with a local Discord, the real bot, a worker, and a simulated member."""
    from bot.demo.show import show

    raise typer.Exit(show(out, content, style, quality))


@app.command()
def sandbox(
    port: Annotated[int, typer.Option(help="The port of the page.", show_default="any free one", min=0, max=65535)] = 0,
    open_browser: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in the browser, or only print its link.")
    ] = True,
) -> None:
    """Try the bot in the browser, without Discord: a local Discord as a page, the real bot, and a worker.

    Choose who you are, type / for the commands, attach pictures, press buttons.

    What you see is the bot's own doing, over Discord's gateway and REST interface.

    The page answers on this machine only, and only with the key in the printed link.

    Ctrl-C ends everything; nothing is kept.
    """
    from bot.demo.sandbox import serve

    try:
        raise typer.Exit(serve(port, open_browser=open_browser))
    except OSError as error:
        end(f"The page can't be served: {error}.", 1)


def _settings() -> "Settings":
    from bot.settings import Settings

    try:
        return Settings()
    except ValidationError as error:
        for problem in error.errors(include_input=False):
            errors.print(f"{'.'.join(map(str, problem['loc'])).upper()}: {problem['msg']}", markup=False)
        raise typer.Exit(2) from error


def _with_discord(act: "Callable[[Settings, str], Coroutine[Any, Any, None]]") -> None:
    """Run ``act`` with settings and token. An error that an operator can fix ends in a sentence, not in a traceback."""
    settings = _settings()
    if settings.discord_token is None:
        end("No token: set DISCORD_TOKEN in the environment or in .env (atelier demo needs none).", 2)

    # These imports take a second, so the most frequent error above comes first.
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

    def fail(sentence: str) -> NoReturn:
        end(redacted(sentence, *settings.secrets), 1)

    try:
        asyncio.run(act(settings, token))
    except discord.LoginFailure:
        end("Discord rejects the token: copy it again from the Developer Portal, page Bot, into DISCORD_TOKEN.", 2)
    except (aiohttp.ClientError, discord.GatewayNotFound) as error:
        fail(f"Discord can't be reached at {settings.discord_api_url}: {error}")
    except discord.HTTPException as error:
        fail(f"Discord answers with an error: {error}.")
    except SQLAlchemyError as error:
        fail(f"The database can't be used: {error}. Check DATABASE_URL, or run atelier doctor.")
    except discord.ConnectionClosed as error:
        end(f"Discord closed the connection for good, with code {error.code}: {_closed(error.code)}.", 1)
    except Exception as error:
        known = ours(error)
        if known is not None or isinstance(error, OSError):
            sentence = explain(known) if known is not None else f"{error}."
            fail(f"{sentence} Run atelier doctor to see what works.")
        # The log redacts secrets. A traceback printed by Python could show them.
        structlog.get_logger(__name__).exception("stopped by an unexpected error")
        raise typer.Exit(1) from error


def _closed(code: int) -> str:
    """The meaning of a close code. Source: Discord's documentation, "Gateway Close Event Codes"."""
    return {
        4004: "it rejects the token",
        4010: "SHARD_ID and SHARD_COUNT are not valid",
        4011: "the bot is in too many servers for one process; set SHARD_ID and SHARD_COUNT",
    }.get(code, "see Gateway Close Event Codes in Discord's documentation")
