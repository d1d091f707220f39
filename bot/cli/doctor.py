"""``atelier doctor``: checks what works on this machine, and says how to fix what doesn't."""

import asyncio
import secrets
import shutil
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import discord

from bot.client.client import Atelier
from bot.jobs.database.cipher import FILE, Cipher, new_key
from bot.jobs.database.store import Store
from bot.settings import MEBIBYTE, OWN_FILES, Settings
from bot.telemetry.redaction import redacted
from engine import private
from engine.blobs import Blobs
from engine.errors import AtelierError, ClusterUnsafe, DeviceUnavailable, OperatorError, StorageFailed

ENOUGH_DISK_MB: Final = 1024


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check."""

    subject: str
    works: bool
    detail: str
    """What works, or what is wrong and how to fix it."""


async def examine(settings: Settings) -> AsyncIterator[Check]:
    """Make every check, one after the other. A failed check raises nothing."""
    checks: dict[str, Callable[[Settings], Awaitable[str]]] = {
        "device": _device,
        "weights": _weights,
        "decoder": _decoder,
        "disk": _disk,
        "pictures": _pictures,
        "key": _key,
        "database": _database,
        "scheduler": _scheduler,
        "Discord": _discord,
    }
    for subject, check in checks.items():
        try:
            works, detail = True, await check(settings)
        except _Failed as failed:
            works, detail = False, str(failed)
        except Exception as error:
            works, detail = False, f"{type(error).__name__}: {error}"
        yield Check(subject, works, redacted(detail, *settings.secrets))


class _Failed(Exception):
    """What is wrong and how to fix it."""


async def _device(settings: Settings) -> str:
    from engine.runtime.devices import choose, set_threads

    set_threads(settings.threads)
    try:
        compute = choose(settings.device, settings.precision)
    except AtelierError as error:
        raise _Failed(f"{error} Set DEVICE or PRECISION.") from error
    return f"{compute.name}, {compute.precision}"


async def _weights(settings: Settings) -> str:
    def load() -> None:
        from engine.runtime.devices import choose
        from engine.vgg.vgg19 import load_cached

        compute = choose(settings.device, settings.precision)
        load_cached(settings.vgg19_weights, compute.device, compute.dtype)

    try:
        await asyncio.to_thread(load)
    except DeviceUnavailable as error:
        raise _Failed("can't be loaded without a device. Set DEVICE or PRECISION.") from error
    except AtelierError as error:
        raise _Failed(f"{error} Set VGG19_WEIGHTS.") from error
    return f"VGG19 loaded ({settings.vgg19_weights})"


async def _decoder(settings: Settings) -> str:
    """Decode a picture as workers do. Which confinement is possible depends on the kernel of each machine."""
    from PIL import Image

    from engine.images.codec import encode
    from engine.images.decoder import Decoder
    from engine.images.privileges import layers

    def decode() -> None:
        with Decoder(settings.limits) as decoder:
            decoder.decode(encode(Image.new("RGB", (64, 64)), "png"))

    try:
        await asyncio.to_thread(decode)
    except Exception as error:
        raise _Failed(f"can't decode a picture ({type(error).__name__}: {error}).") from error
    return f"decoded a picture, confined by {' and '.join(layers()) or 'limits only: this kernel offers nothing more'}"


async def _disk(settings: Settings) -> str:
    directory = settings.data_directory.resolve()

    def probe() -> tuple[bool, int]:
        closed = private.make_folder(directory, OWN_FILES)
        file = directory / ".probe"
        file.write_bytes(b"")
        file.unlink()
        return closed, shutil.disk_usage(directory).free

    try:
        closed, free = await asyncio.to_thread(probe)
    except OSError as error:
        raise _Failed(f"{directory} can't be written to ({error.strerror}). Set DATA_DIRECTORY.") from error
    if free < ENOUGH_DISK_MB * MEBIBYTE:
        raise _Failed(f"only {free // MEBIBYTE} MB are free at {directory}. Free some space, or set DATA_DIRECTORY.")
    if not closed:
        raise _Failed(f"other users can read {directory}, which holds more than the bot's files. Set DATA_DIRECTORY.")
    return f"{free // MEBIBYTE:,} MB free at {directory}"


async def _pictures(settings: Settings) -> str:
    """Keep, read and remove a blob. Says nothing about the permissions of workers, which use the same place."""
    content = b"atelier doctor " + secrets.token_bytes(8)

    def round_trip() -> None:
        blobs = Blobs(settings.blobs)
        name = blobs.put(content)
        try:
            blobs.get(name)
        finally:
            blobs.remove(name)

    try:
        await asyncio.to_thread(round_trip)
    except OperatorError as error:
        raise _Failed(str(error)) from error
    except Exception as error:
        why = error.detail if isinstance(error, StorageFailed) else f"{type(error).__name__}: {error}"
        raise _Failed(f"can't be kept at {settings.blobs} ({why}). Set BLOBS_URL.") from error
    return f"kept, read and removed one at {settings.blobs}"


async def _key(settings: Settings) -> str:
    if settings.secret_keys:
        return f"{len(settings.secret_keys)} in SECRET_KEY"
    path = settings.data_directory.resolve() / FILE

    def check() -> str:
        # Make no key here: it would belong to the current user, who may not be the one that runs the bot.
        if not path.exists():
            return f"will be made at {path}"
        Cipher.open((), path.parent)
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise _Failed(f"other users can read or change {path} (mode {mode:o}). Run: chmod 600 '{path}'")
        return str(path)

    try:
        kept = await asyncio.to_thread(check)
    except OSError as error:
        raise _Failed(f"{path} can't be read ({error.strerror}). Set SECRET_KEY or DATA_DIRECTORY.") from error
    if settings.database_url is not None:
        kept += "; bots on other machines that share the database need it as SECRET_KEY"
    return kept


async def _database(settings: Settings) -> str:
    try:
        # Any key works, because the count decrypts nothing.
        async with Store.open(settings.database, Cipher([new_key()])) as store:
            waiting = await store.count_open()
    except Exception as error:
        raise _Failed(f"the database can't be opened: {error}. Check DATABASE_URL.") from error
    return f"tables up to date, {waiting} open jobs"


async def _scheduler(settings: Settings) -> str:
    if settings.scheduler is None:
        return "embedded: one worker process on this machine"
    from engine.cluster.status import members
    from engine.cluster.tls import TLS

    try:
        tls = TLS.given(settings.tls_ca, settings.tls_certificate, settings.tls_key)
        names = await members(settings.scheduler, tls)
    except ClusterUnsafe as error:
        raise _Failed(str(error)) from error
    except OSError as error:
        raise _Failed(f"nothing answers at {settings.scheduler}: {error}. Start it, or unset SCHEDULER.") from error
    if not names:
        raise _Failed(f"{settings.scheduler} answers but has no workers. Start one with `atelier worker`.")
    return f"{settings.scheduler} with {len(names)} workers"


async def _discord(settings: Settings) -> str:
    if settings.discord_token is None:
        raise _Failed("no token. Set DISCORD_TOKEN in the environment or in .env. `atelier demo` needs no token.")
    async with Atelier(settings) as client:
        try:
            await client.login(settings.discord_token.get_secret_value())
        except discord.LoginFailure as error:
            raise _Failed("Discord rejects the token. Copy it again from the Developer Portal, page Bot.") from error
        except OSError as error:
            raise _Failed(f"{settings.discord_api_url} can't be reached: {error}. Check the network.") from error
        return f"logged in as {client.user}. {_galleries(settings)}"


def _galleries(settings: Settings) -> str:
    """What only an interaction can find out: whether Discord refuses galleries (discord-api-docs, issue 7529)."""
    if not settings.operators:
        return "Set OPERATOR_IDS to try with /admin probe whether it accepts pictures in galleries."
    return "In Discord, /admin probe tries whether it accepts pictures in galleries."
