"""Files of networks: what is written is read, and nothing else is."""

import json
import struct
from collections.abc import Callable
from typing import Any

import pytest

from engine.errors import NetworkUnusable
from engine.networks import file as file_module
from engine.networks.file import NetworkFile, is_network, picture_in
from engine.networks.network import StyleNetwork
from tests.engine.images import corpus


def remade(data: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """The file with another header."""
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


def test_what_is_written_is_read(file: NetworkFile) -> None:
    data = file.write()
    read = NetworkFile.read(data)
    assert (read.card, read.parameters, list(read.pictures)) == (file.card, file.parameters, list(file.pictures))
    assert is_network(data)
    assert not any(is_network(corpus.saved(corpus.scene(), each)) for each in ("PNG", "JPEG", "WEBP", "GIF", "BMP"))


def test_a_style_alone_is_a_file_of_its_own(file: NetworkFile) -> None:
    second = NetworkFile.read(file.only(1).write())
    assert second.card.styles == ("Scene",)
    assert picture_in(second.write()) == file.pictures[1]
    whole, alone = StyleNetwork.of(file), StyleNetwork.of(second)
    assert whole.stem.norm.scale[1].tolist() == alone.stem.norm.scale[0].tolist()


HEADERS: dict[str, Callable[[dict[str, Any]], object]] = {
    "another program's": lambda header: header.pop("__metadata__"),
    "without a card": lambda header: header["__metadata__"].pop("card"),
    "a damaged card": lambda header: header["__metadata__"].update(card='{"styles": []}'),
    "wider than it may be": lambda header: header["__metadata__"].update(
        card=header["__metadata__"]["card"].replace('"widths":[8,8]', '"widths":[8,100000]')
    ),
    "a tensor is missing": lambda header: header.pop("last.weight"),
    "another shape": lambda header: header["last.weight"].update(shape=[6, 3, 3, 3]),
    "another type": lambda header: header["last.weight"].update(dtype="F64"),
    "a place outside": lambda header: header["last.weight"].update(data_offsets=[0, 2**60]),
    "a negative size": lambda header: header["last.weight"].update(shape=[-1, -6, 3, 9]),
    "a place that is no number": lambda header: header["last.weight"].update(data_offsets=["0", "4"]),
    "no object": lambda header: header.update({"last.weight": 7}),
}


@pytest.mark.parametrize("change", HEADERS.values(), ids=HEADERS)
def test_a_file_with_another_header_is_refused(change: Callable[[dict[str, Any]], object], file: NetworkFile) -> None:
    with pytest.raises(NetworkUnusable):
        NetworkFile.read(remade(file.write(), change))


def test_other_bytes_are_refused(file: NetworkFile, monkeypatch: pytest.MonkeyPatch) -> None:
    data = file.write()
    others = [
        b"",
        b"{}",
        data[:100],
        data[:-1],
        data + b"1",
        struct.pack("<Q", 2**62) + data[8:],
        data[:8] + b"[" * 10**5,
    ]
    for each in others:
        with pytest.raises(NetworkUnusable):
            NetworkFile.read(each)
    monkeypatch.setattr(file_module, "LARGEST_FILE", len(data) - 1)
    with pytest.raises(NetworkUnusable, match="bytes"):
        NetworkFile.read(data)


def test_numbers_that_are_not_finite_are_refused(file: NetworkFile) -> None:
    broken = dict(file.parameters) | {"last.weight": b"\x00\x7e" * 162}
    with pytest.raises(NetworkUnusable, match="finite"):
        StyleNetwork.of(NetworkFile(file.card, broken, file.pictures))
