"""Reads the networks' weights, which are beside this module. README.md there has their sources and licences."""

import json
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

SCALES: Final = ".scales"
"""Ends the name of the factors of a tensor that is stored as integers, one for each of its output channels."""
_FOLDER: Final = Path(__file__).parent
_LENGTH: Final = 8
"""Bytes of the length of the header, which come first in the file."""
_TYPES: Final = {"F32": torch.float32, "F16": torch.float16, "I16": torch.int16}


def load(name: str) -> dict[str, Tensor]:
    """The tensors of ``NAME.safetensors`` in float32, by their names."""
    data = (_FOLDER / f"{name}.safetensors").read_bytes()
    start = _LENGTH + int.from_bytes(data[:_LENGTH], "little")
    stored: dict[str, Tensor] = {}
    for key, each in json.loads(data[_LENGTH:start]).items():
        if key != "__metadata__":
            begin, end = (start + offset for offset in each["data_offsets"])
            part = torch.frombuffer(bytearray(data[begin:end]), dtype=_TYPES[each["dtype"]])
            stored[key] = part.view(each["shape"]).float()
    return {
        key: tensor * stored[f"{key}{SCALES}"].view(-1, 1, 1, 1) if f"{key}{SCALES}" in stored else tensor
        for key, tensor in stored.items()
        if not key.endswith(SCALES)
    }
