"""A job's bytes on disk: its input pictures, its last checkpoint, its result."""

import asyncio
import os
import shutil
from collections.abc import Sequence
from pathlib import Path


class JobFiles:
    """One folder for each job under ``directory``, removed when the job has ended."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def save_inputs(self, job: str, content: bytes, styles: Sequence[bytes]) -> None:
        """Write the pictures; on disk when it returns."""
        await self._write(job, "content", content)
        for index, style in enumerate(styles):
            await self._write(job, f"style-{index}", style)

    async def inputs(self, job: str) -> tuple[bytes, list[bytes]]:
        """Read content and styles back; raises ``FileNotFoundError``."""
        return await asyncio.to_thread(self._inputs, job)

    async def save_checkpoint(self, job: str, checkpoint: bytes) -> None:
        """Replace the job's checkpoint, whole or not at all."""
        await self._write(job, "checkpoint", checkpoint)

    async def checkpoint(self, job: str) -> bytes | None:
        """The last checkpoint, if there is one."""
        path = self._directory / job / "checkpoint"
        return await asyncio.to_thread(lambda: path.read_bytes() if path.exists() else None)

    async def save_result(self, job: str, picture: bytes, format: str) -> Path:
        """Keep a finished picture; returns where."""
        return await self._write(job, f"result.{format}", picture)

    async def remove(self, job: str) -> None:
        """Remove everything of the job; harmless when there is nothing."""
        await asyncio.to_thread(shutil.rmtree, self._directory / job, ignore_errors=True)

    def _inputs(self, job: str) -> tuple[bytes, list[bytes]]:
        folder = self._directory / job
        styles = sorted(folder.glob("style-*"), key=lambda path: int(path.name.removeprefix("style-")))
        return (folder / "content").read_bytes(), [path.read_bytes() for path in styles]

    async def _write(self, job: str, name: str, data: bytes) -> Path:
        writing = asyncio.create_task(asyncio.to_thread(_write_durably, self._directory / job / name, data))
        try:
            return await asyncio.shield(writing)
        except asyncio.CancelledError:
            # Its thread can't be stopped: left behind, it would write into the folder after the job's removal.
            await asyncio.gather(writing, return_exceptions=True)
            raise


def _write_durably(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    return path
