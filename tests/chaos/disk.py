"""A small disk for the bot's data, which can be filled: a tmpfs, if this user can mount one."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from bot.settings import MEBIBYTE

SIZE_MB: Final = 512


class Disk:
    """The disk under ``folder``. Make one with :func:`small_disk`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self, leave: int) -> None:
        """Use all space except ``leave`` bytes."""
        taken = shutil.disk_usage(self.folder).free - leave
        block = bytes(MEBIBYTE)
        # Unbuffered, because a buffered write would fail again when the file is closed.
        with contextlib.suppress(OSError), self._ballast.open("ab", buffering=0) as ballast:
            while taken > 0:
                taken -= ballast.write(block[: min(taken, MEBIBYTE)])

    def empty(self) -> None:
        """Free the space again."""
        self._ballast.unlink(missing_ok=True)


@asynccontextmanager
async def small_disk(folder: Path) -> AsyncIterator[Disk | None]:
    """Mount a disk at ``folder``. Yields None if this user can't mount, and leaves ``folder`` unchanged."""
    if not await _run("mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "atelier-chaos", str(folder)):
        yield None
        return
    try:
        yield Disk(folder)
    finally:
        await _run("umount", "--lazy", str(folder))


async def _run(*command: str) -> bool:
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
    except FileNotFoundError:
        return False
    return await process.wait() == 0
