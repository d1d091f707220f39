"""Gather the photos that the built-in styles' network was trained on: ``python -m tests.benchmarks.free_photos``.

It takes them from Debian's packages gcompris-qt-data 3.1, lomiri-wallpapers-16.04, lomiri-wallpapers-20.04 and
budgie-backgrounds 3.0, and from the wheel of scikit-learn 1.5.2: files that ``apt-get download`` and ``pip download``
put into a folder. All are in the public domain or under CC0, CC BY or CC BY-SA. It needs ``dpkg-deb``.
"""

import argparse
import io
import re
import struct
import subprocess
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from zipfile import ZipFile

from PIL import Image

LONGEST: Final = 1024
"""The longer side of the photos that are kept, in pixels."""
SMALLEST: Final = 300
"""The shorter side of the smallest picture that counts as a photo."""
_QUALITY: Final = 92
_ACTIVITIES: Final = (
    "erase", "explore_monuments", "explore_farm_animals", "explore_world_music", "explore_world_animals", "clickgame",
    "details",
)  # fmt: skip
"""Of GCompris, whose pictures are photos, with a README that names source and licence of each."""
_FREE: Final = re.compile(r"public domain|CC0(-1\.0)?|CC-BY(-SA)?[ -][\d.]+", re.IGNORECASE)
_LEFT_OUT: Final = {"kitten", "red_panda", "trierImperialBaths", "panda"}
"""Of GCompris: what the network is judged by."""
_NOT_PHOTOS: Final = {
    "analogpattern_by_Peter_Nerlich", "friends_by_Aitzol_Berasategi", "Infinite-Sea_by_Aury88",
    "Painting-Colors_by__herobrine7gamer", "abstract-spiral", "valley-midnight", "waves-midnight", "saturnian-profile",
    "Eglise_dAuvers-sur-Oise_background",
}  # fmt: skip
"""Patterns, paintings, and another photo that the network is judged by."""
_COMPRESSED: Final = 1
_FOLDER: Final = 2
_NODE: Final = 22
"""Bytes of a node in the tree of a Qt resource file of version 2 or 3."""


@dataclass(frozen=True, slots=True)
class Photo:
    """A picture and where it comes from."""

    name: str
    data: bytes
    package: str
    author: str
    licence: str
    source: str = ""
    """The address that the package names."""


def stanzas(text: str) -> Iterator[dict[str, str]]:
    """The paragraphs of a Debian copyright file or a README like it, by the names of their fields."""
    for paragraph in re.split(r"\n\s*\n", text):
        fields: dict[str, list[str]] = {}
        for line in paragraph.strip().splitlines():
            if found := re.match(r"([A-Z]\w+): *(.*)", line):
                fields[found[1]] = [found[2]]
            elif fields:
                fields[list(fields)[-1]].append(line.strip())
        yield {name: " ".join(lines).strip() for name, lines in fields.items()}


def resources(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The files in a Qt resource file, with their paths: https://doc.qt.io/qt-6/resources.html."""
    tree, contents, names = struct.unpack(">III", data[8:20])

    def name_at(place: int) -> str:
        (length,) = struct.unpack(">H", data[names + place : names + place + 2])
        return data[names + place + 6 : names + place + 6 + 2 * length].decode("utf-16-be")

    def below(index: int, path: str) -> Iterator[tuple[str, bytes]]:
        node = data[tree + index * _NODE : tree + (index + 1) * _NODE]
        name, flags = struct.unpack(">IH", node[:6])
        path += f"/{name_at(name)}" if index else ""
        if flags & _FOLDER:
            count, first = struct.unpack(">II", node[6:14])
            for child in range(first, first + count):
                yield from below(child, path)
            return
        (place,) = struct.unpack(">I", node[10:14])
        start = contents + place + 4
        (length,) = struct.unpack(">I", data[start - 4 : start])
        file = data[start : start + length]
        yield path, zlib.decompress(file[4:]) if flags & _COMPRESSED else file

    yield from below(0, "")


def of_gcompris(folder: Path) -> Iterator[Photo]:
    """The photos of GCompris, unpacked in ``folder``."""
    for activity in _ACTIVITIES:
        files = dict(resources((folder / f"usr/share/gcompris-qt/rcc/{activity}.rcc").read_bytes()))
        readme = next(data for path, data in files.items() if path.endswith("/README")).decode()
        told = {file: each for each in stanzas(readme) for file in each.get("Files", "").split()}
        for path, data in sorted(files.items()):
            fields = next((each for file, each in told.items() if path.endswith(f"/{file}")), None)
            if fields is None or data[8:12] != b"WEBP" or not _FREE.fullmatch(fields["License"]):
                continue
            name = f"{activity.removeprefix('explore_')}-{Path(path).stem}"
            yield Photo(
                name,
                data,
                "gcompris-qt-data",
                fields.get("Copyright", "unknown"),
                fields["License"],
                fields.get("Source", ""),
            )


def of_wallpapers(folder: Path, package: str) -> Iterator[Photo]:
    """The photos of a package of wallpapers, unpacked in ``folder``."""
    told = list(stanzas((folder / f"usr/share/doc/{package}/copyright").read_text(encoding="utf-8")))
    for file in sorted((folder / "usr/share/backgrounds").rglob("*.jpg")):
        if file.is_symlink():
            continue
        of_file = [each for each in told if f"/{file.name}" in each.get("Files", "")]
        fields = (of_file or [each for each in told if each.get("Files") == "*"])[0]
        licence = fields["License"].split()[0]
        yield Photo(
            f"{package.split('-', maxsplit=1)[0]}-{file.stem}",
            file.read_bytes(),
            package,
            fields["Copyright"].strip(),
            licence,
        )


def of_scikit_learn(wheel: Path) -> Iterator[Photo]:
    """The two photos of scikit-learn."""
    with ZipFile(wheel) as files:
        for name, author in (("china", "danielbuechele"), ("flower", "vultilion")):
            data = files.read(f"sklearn/datasets/images/{name}.jpg")
            yield Photo(f"sklearn-{name}", data, "scikit-learn", author, "CC-BY-2.0", "https://www.flickr.com")


def gather(packages: Path) -> Iterator[Photo]:
    """All photos of the packages in a folder.

    Raises:
        StopIteration: a package is missing.
    """
    names = ("gcompris-qt-data", "lomiri-wallpapers-16.04", "lomiri-wallpapers-20.04", "budgie-backgrounds")
    for package in names:
        with TemporaryDirectory() as unpacked:
            file = next(packages.glob(f"{package}_*.deb"))
            subprocess.run(["dpkg-deb", "-x", str(file), unpacked], check=True)
            folder = Path(unpacked)
            yield from of_gcompris(folder) if package == names[0] else of_wallpapers(folder, package)
    yield from of_scikit_learn(next(packages.glob("scikit_learn-*.whl")))


def main() -> None:
    """Write the photos, and a table of their sources."""
    parser = argparse.ArgumentParser(description="Gather photos with clear rights.")
    parser.add_argument("packages", type=Path, help="the folder with the packages")
    parser.add_argument("photos", type=Path, help="the folder for the photos")
    parser.add_argument("--sources", type=Path, help="write a table of the photos' sources into this file")
    given = parser.parse_args()
    given.photos.mkdir(parents=True, exist_ok=True)
    rows = []
    for photo in gather(given.packages):
        opened = Image.open(io.BytesIO(photo.data))
        plain = opened.mode != "RGBA" or opened.getchannel("A").getextrema() == (255, 255)
        stem = photo.name.partition("-")[2]
        if min(opened.size) < SMALLEST or not plain or stem in _LEFT_OUT | _NOT_PHOTOS:
            continue
        image = opened.convert("RGB")
        image.thumbnail((LONGEST, LONGEST))
        image.save(given.photos / f"{photo.name}.jpg", quality=_QUALITY)
        rows.append(f"| {photo.name} | {photo.package} | {photo.author} | {photo.licence} | {photo.source} |")
    if given.sources:
        head = "| photo | package | author | licence | source |\n|---|---|---|---|---|\n"
        given.sources.write_text(head + "\n".join(rows) + "\n", encoding="utf-8")
    print(f"{len(rows)} photos")  # noqa: T201


if __name__ == "__main__":
    main()
