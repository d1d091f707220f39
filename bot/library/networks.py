"""The styles of trained networks, from a folder of the operator's: see ``atelier train``."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from engine.errors import BlobLost, NetworkUnusable
from engine.networks.file import LARGEST_FILE, NetworkFile

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

SUFFIX: Final = ".safetensors"


@dataclass(frozen=True, slots=True)
class NetworkStyle:
    """A style of every member and server, which a network learned."""

    id: str
    """Unique, and the same after a restart."""
    name: str
    file: Path
    """Of the network."""
    picture: bytes
    """The picture that it learned the style from."""

    @property
    def filename(self) -> str:
        """What a file of the picture would be called."""
        return f"{self.name}.jpg"

    def network(self) -> bytes:
        """The network with this style alone, as a file. A worker takes it as the picture of a style.

        Raises:
            BlobLost: the file was removed or replaced by another one since the start.
        """
        try:
            network = _read(self.file)
            return network.only(network.card.styles.index(self.name)).write()
        except (OSError, NetworkUnusable, ValueError) as error:
            raise BlobLost(self.file.name) from error


def load(folder: Path) -> tuple[NetworkStyle, ...]:
    """The styles of all networks in a folder, by the names of the files. What can't be used is logged and left out."""
    found: dict[str, NetworkStyle] = {}
    files = sorted(folder.glob(f"*{SUFFIX}"))
    if not files:
        log.warning("there are no trained networks", folder=str(folder))
    for file in files:
        try:
            network = _read(file)
        except (OSError, NetworkUnusable) as error:
            log.warning("a trained network can't be used", file=str(file), reason=str(error))
            continue
        for name, picture in zip(network.card.styles, network.pictures, strict=True):
            key = hashlib.sha256(f"{file.name}\0{name}".encode()).hexdigest()[:16]
            found[key] = NetworkStyle(f"network-{key}", name, file, picture)
    return tuple(found.values())


def _read(file: Path) -> NetworkFile:
    size = file.stat().st_size
    if size > LARGEST_FILE:
        raise NetworkUnusable(f"It has {size:,} bytes. At most {LARGEST_FILE:,} are allowed.")
    return NetworkFile.read(file.read_bytes())
