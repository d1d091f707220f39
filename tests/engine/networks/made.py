"""Files of small networks."""

from collections.abc import Sequence

from PIL import Image

from engine.images.codec import encode
from engine.networks.file import Card, NetworkFile
from engine.networks.network import StyleNetwork


def file_of(
    network: StyleNetwork, styles: Sequence[Image.Image], names: Sequence[str] = ("Stripes", "Scene")
) -> NetworkFile:
    """The file of a network with these pictures and names of styles."""
    card = Card(
        styles=tuple(names),
        widths=network.widths,
        photos="one scene",
        licences="ours",
        base="",
        steps=4,
        seconds=None,
        seed=0,
        objective="",
        figures={"style loss": 0.5},
        device="",
        version="",
    )
    pictures = [encode(each, "jpeg") for each in styles]
    return NetworkFile(card, network.parameters_as_bytes(), pictures)
