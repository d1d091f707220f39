"""``atelier scheduler``, ``atelier worker`` and ``atelier cluster``: commands for several machines.

They read the environment, but not ``.env``, because a worker's machine should not have the bot's secrets.
"""

import asyncio
from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer
from rich.console import Console

from engine.cluster.signals import end_on_signals
from engine.errors import AtelierError
from engine.recipe import Precision

if TYPE_CHECKING:
    from engine.cluster.tls import TLS

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode="rich", help="Make certificates for a cluster, and list its workers."
)
errors = Console(stderr=True)

Scheduler = Annotated[
    str, typer.Option(envvar="SCHEDULER", help="tls://HOST:PORT, or tcp:// on this machine.", show_default=False)
]
Authority = Annotated[
    Path | None, typer.Option("--tls-ca", envvar="TLS_CA", help="The authority: ca.pem.", show_default="no TLS")
]
Certificate = Annotated[
    Path | None,
    typer.Option("--tls-certificate", envvar="TLS_CERTIFICATE", help="certificate.pem.", show_default="no TLS"),
]
Key = Annotated[Path | None, typer.Option("--tls-key", envvar="TLS_KEY", help="key.pem.", show_default="no TLS")]
Level = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR"], typer.Option(envvar="LOG_LEVEL", help="The least level to log.")
]
Format = Annotated[Literal["console", "json"], typer.Option(envvar="LOG_FORMAT", help="The format of the log.")]


def scheduler(
    host: Annotated[
        str | None, typer.Option(help="The address to listen on.", show_default="all with TLS, loopback without")
    ] = None,
    port: Annotated[int, typer.Option(help="The port to listen on; 0 for any free one.", min=0, max=65535)] = 8786,
    tls_ca: Authority = None,
    tls_certificate: Certificate = None,
    tls_key: Key = None,
    dashboard: Annotated[
        int | None, typer.Option(help="A port on loopback for Dask's dashboard.", show_default="none", min=0, max=65535)
    ] = None,
    log_level: Level = "INFO",
    log_format: Format = "console",
) -> None:
    """Run a cluster's scheduler, to which its bots and workers connect.

    It accepts connections from other machines only with certificates: see [bold]atelier cluster certs[/].

    It only distributes paintings, and runs no other code for its clients.

    When it ends, workers and bots wait for a new one.
    """
    end_on_signals()
    from bot.telemetry import logs
    from engine.cluster.scheduler import SchedulerPlan, serve

    async def run() -> int:
        await serve(SchedulerPlan(host, port, _tls(tls_ca, tls_certificate, tls_key), dashboard))
        return 0

    logs.configure(log_level, log_format)
    _run(run())


def worker(
    scheduler: Scheduler,
    host: Annotated[
        str | None,
        typer.Option(help="The address at which others reach it.", show_default="the one towards the scheduler"),
    ] = None,
    port: Annotated[
        int,
        typer.Option(
            help="The first worker's port; the others use the next ones. 0 for any free ports.",
            min=0,
            max=65535,
        ),
    ] = 0,
    tls_ca: Authority = None,
    tls_certificate: Certificate = None,
    tls_key: Key = None,
    device: Annotated[
        str, typer.Option(envvar="DEVICE", help="auto (every GPU, else the CPU), cpu, cuda or cuda:N.")
    ] = "auto",
    with_cpu: Annotated[bool, typer.Option("--cpu-too", help="Start a CPU worker in addition.")] = False,
    precision: Annotated[Precision, typer.Option(envvar="PRECISION", help="Of the network's activations.")] = "auto",
    threads: Annotated[
        int | None, typer.Option(envvar="THREADS", help="CPU cores for each worker.", min=1, show_default="all")
    ] = None,
    blobs: Annotated[
        str,
        typer.Option(
            envvar="BLOBS_URL",
            help="Where the bot keeps pictures and checkpoints. Needed with tls://.",
            show_default="blobs in DATA_DIRECTORY with tcp://",
        ),
    ] = "",
    data_directory: Annotated[
        Path, typer.Option(envvar="DATA_DIRECTORY", help="The bot's data directory, if it runs on this machine.")
    ] = Path("data"),
    weights: Annotated[str, typer.Option(envvar="VGG19_WEIGHTS", help="embedded, torchvision or a file.")] = "embedded",
    memory: Annotated[
        int | None,
        typer.Option(envvar="WORKER_MEMORY_MB", help="Of a CPU worker, in MB.", min=2048, show_default="no limit"),
    ] = None,
    max_picture_mb: Annotated[
        int, typer.Option(envvar="MAX_PICTURE_MB", help="The largest file that it decodes.", min=1, max=500)
    ] = 16,
    max_picture_megapixels: Annotated[
        int, typer.Option(envvar="MAX_PICTURE_MEGAPIXELS", help="The largest picture that it decodes.", min=1, max=500)
    ] = 64,
    log_level: Level = "INFO",
    log_format: Format = "console",
) -> None:
    """Run workers for a scheduler: one process for each GPU, or one for the CPU. Each paints one picture at a time.

    The command waits until the scheduler is there, reconnects after a loss, and replaces processes that die.

    At the first SIGTERM or Ctrl-C it ends within 10 s. Other workers resume its paintings from their last checkpoint.

    A second signal ends it at once. Workers run no code except this program's.
    """
    end_on_signals()
    from bot.settings import MEBIBYTE
    from bot.telemetry import logs
    from engine.cluster.supervisor import WorkersPlan, keep
    from engine.images.limits import Limits
    from engine.worker.protocol import WorkerSettings

    # A scheduler without TLS is on this machine, and so is the bot.
    place = blobs if blobs or scheduler.startswith("tls://") else str(data_directory.resolve() / "blobs")

    async def run() -> int:
        settings = WorkerSettings(
            weights=weights,
            device=device,
            precision=precision,
            threads=threads,
            memory=memory and memory * MEBIBYTE,
            limits=Limits(bytes=max_picture_mb * MEBIBYTE, pixels=max_picture_megapixels * 1_000_000),
            blobs=place,
        )
        plan = WorkersPlan(scheduler, settings, _tls(tls_ca, tls_certificate, tls_key), host, port, with_cpu)
        return await keep(plan, partial(logs.configure, log_level, log_format))

    logs.configure(log_level, log_format)
    _run(run())


@app.command()
def certs(
    out: Annotated[Path, typer.Option(help="The folder for the certificates.")] = Path("certificates"),
    host: Annotated[
        list[str] | None, typer.Option(help="A machine's name or address, in addition to localhost. Repeatable.")
    ] = None,
    add: Annotated[
        list[str] | None,
        typer.Option(
            help="Make only a certificate of this name, with the existing authority. Repeatable.",
            show_default=False,
        ),
    ] = None,
    days: Annotated[int, typer.Option(help="Days for which they are valid.", min=1, max=3650)] = 365,
    force: Annotated[bool, typer.Option("--force", help="Replace the certificates, but not the authority.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep existing certificates, and make missing ones.")] = False,
) -> None:
    """Make a certificate authority for one cluster, and certificates for its scheduler, workers and bot.

    Each has a folder with three files to copy to its machine, for TLS_CA, TLS_CERTIFICATE and TLS_KEY.

    The folder [bold]ca[/] signs further certificates. Keep it off the cluster, and use it only for this.

    Any of these certificates gives access to the cluster, whatever its name.
    """
    from engine.cluster.certificates import FILES, PARTS, make

    try:
        made = make(out, add or PARTS, host or (), days, force=force, keep=keep)
    except (AtelierError, OSError) as error:
        _fail(error)
    for folder in made:
        typer.echo(f"{folder}: {', '.join(FILES)}, valid for {days} days")
    if not made:
        typer.echo(f"{out}: nothing to make, all certificates exist")


@app.command()
def status(
    scheduler: Scheduler,
    here: Annotated[bool, typer.Option("--here", help="Exit with 1 if no worker of this machine has joined.")] = False,
    tls_ca: Authority = None,
    tls_certificate: Certificate = None,
    tls_key: Key = None,
) -> None:
    """List the workers that have joined. Exit code 1 if the scheduler doesn't answer."""
    from bot.telemetry.logs import escaped
    from engine.cluster.status import members

    async def run() -> int:
        names = await members(scheduler, _tls(tls_ca, tls_certificate, tls_key))
        for name in names:
            typer.echo(escaped(name))
        if not names:
            typer.echo("no workers")
        return int(here and not any(_is_of_here(name) for name in names))

    _run(run())


def _is_of_here(name: str) -> bool:
    import socket

    return name.partition("/")[0] == socket.gethostname()


def _tls(ca: Path | None, certificate: Path | None, key: Path | None) -> "TLS | None":
    from engine.cluster.tls import TLS

    return TLS.given(ca, certificate, key)


def _run(act: Coroutine[Any, Any, int]) -> NoReturn:
    try:
        code = asyncio.run(act)
    except (AtelierError, OSError) as error:
        _fail(error)
    raise typer.Exit(code)


def _fail(error: Exception) -> NoReturn:
    from bot.telemetry.logs import escaped

    end(escaped(str(error)), 1)


def end(sentence: str, code: int) -> NoReturn:
    """Print an error, and end with this status."""
    print_error(sentence)
    raise typer.Exit(code)


def print_error(sentence: str) -> None:
    """Print an error in red."""
    errors.print(sentence, style="red", markup=False, highlight=False, soft_wrap=True)
