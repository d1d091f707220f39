"""The optimisers that Atelier is compared with, each with the objective that it minimises.

Each gets the same VGG19 weights, in its own convention of the input, and the same two pictures, already of the size
at which it works.
"""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from unittest import mock

import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.models import vgg19
from torchvision.transforms.functional import pil_to_tensor

from engine.recipe import Layer
from engine.vgg.weights import CAFFE_MEAN_BGR, CONVOLUTIONS, IMAGENET_MEAN_RGB, IMAGENET_STD_RGB, Parameters


@dataclass(frozen=True, slots=True)
class Pair:
    """Files of a content and a style of one size."""

    content: Path
    style: Path


@dataclass(frozen=True, slots=True)
class Coefficients:
    """An objective as a sum over layers, F being a layer's features and G = F Fᵀ / positions their Gram matrix:

    Σ ``content`` · ‖F − F of the content‖² + Σ ``style`` · ‖G − G of the style‖².
    """

    content: Mapping[Layer, float]
    style: Mapping[Layer, float]


class Peer(ABC):
    """One optimiser at work on one pair of pictures. The time of its constructor counts."""

    steps: int
    """The total number of steps."""

    @staticmethod
    @abstractmethod
    def network(parameters: Parameters) -> Any:
        """Convert VGG19 with weights for RGB in [0, 1] into the peer's form, once, before the time is measured."""

    @abstractmethod
    def step(self) -> Tensor | float | None:
        """Make one step.

        Returns:
            The objective of the image before the step; None if the peer does not compute it.
        """

    @property
    @abstractmethod
    def image(self) -> Tensor:
        """The image so far, shape (1, 3, height, width), RGB; what is outside [0, 1] is clipped when it is shown."""

    @abstractmethod
    def objective(self, image: Tensor) -> float:
        """The peer's own objective of an image of the full size, RGB, in float32."""

    @abstractmethod
    def coefficients(self) -> Coefficients | None:
        """The objective in the terms of Atelier's recipes; None if they cannot express it."""


def rebased(parameters: Parameters, mean: Tensor, deviation: Tensor) -> Parameters:
    """Convert weights for RGB in [0, 1] into weights for (RGB − ``mean``) / ``deviation``."""
    weight, bias = parameters["0.weight"], parameters["0.bias"]
    return parameters | {
        "0.weight": weight * deviation[:, None, None],
        "0.bias": bias + torch.einsum("oikl,i->o", weight, mean),
    }


def opened(path: Path, device: torch.device) -> Tensor:
    """A picture as RGB in [0, 1], shape (1, 3, height, width)."""
    with Image.open(path) as image:
        return tensor(image, device)


def tensor(image: Image.Image, device: torch.device) -> Tensor:
    """RGB in [0, 1], shape (1, 3, height, width)."""
    pixels: Tensor = pil_to_tensor(image.convert("RGB"))
    return pixels[None].to(device).float() / 255


class Bank(nn.Module):
    """torchvision's VGG19 up to conv5_1 and for ImageNet-normalised pixels, as people loop over it: float32, NCHW.

    Not in place: torchvision's own ReLUs would overwrite each collected convolution.
    """

    def __init__(self, parameters: Parameters, padding: str = "zeros") -> None:
        super().__init__()
        with torch.device("meta"):
            features = vgg19(weights=None).features
        mean, deviation = torch.tensor(IMAGENET_MEAN_RGB), torch.tensor(IMAGENET_STD_RGB)
        features.load_state_dict(rebased(parameters, mean, deviation), assign=True)
        features[0].padding_mode = padding
        self.layers = nn.Sequential(
            *(nn.ReLU() if isinstance(layer, nn.ReLU) else layer for layer in features[: CONVOLUTIONS[5, 1] + 2])
        )
        self.requires_grad_(requires_grad=False)
        self.register_buffer("mean", mean[:, None, None])
        self.register_buffer("deviation", deviation[:, None, None])

    def forward(self, image: Tensor, wanted: Mapping[int, Layer]) -> dict[Layer, Tensor]:
        """``image`` normalised; ``wanted`` are indices into torchvision's ``vgg19().features``."""
        found = {}
        for index, layer in enumerate(self.layers):
            image = layer(image)
            if index in wanted:
                found[wanted[index]] = image
            if len(found) == len(wanted):
                break
        return found

    def normalised(self, image: Tensor) -> Tensor:
        """From RGB in [0, 1]."""
        return (image - self.get_buffer("mean")) / self.get_buffer("deviation")

    def shown(self, image: Tensor) -> Tensor:
        """Back to RGB in [0, 1]."""
        return image * self.get_buffer("deviation") + self.get_buffer("mean")


class Seed(Peer):
    """The simple loop of many tutorials: Adam on normalised pixels, one scale, unnormalised Gram matrices, no clamping.

    Its ReLUs are not in place, and like some variants it computes no layer after its last one.
    """

    steps = 300
    LEARNING_RATE: Final = 0.03
    CONTENT_WEIGHT: Final = 1.0
    STYLE_WEIGHT: Final = 1e9
    """Over channels · height · width of each layer."""
    LAYERS: Final[Mapping[int, Layer]] = {
        0: "conv1_1", 5: "conv2_1", 10: "conv3_1", 19: "conv4_1", 21: "conv4_2", 28: "conv5_1"
    }  # fmt: skip
    CONTENT: Final[Layer] = "conv4_2"
    STYLE: Final[Mapping[Layer, float]] = {
        "conv1_1": 1.0, "conv2_1": 0.75, "conv3_1": 0.2, "conv4_1": 0.2, "conv5_1": 0.2
    }  # fmt: skip

    network = staticmethod(Bank)

    def __init__(self, pair: Pair, network: Bank, device: torch.device) -> None:
        self._network = network.to(device)
        content, style = (network.normalised(opened(path, device)) for path in (pair.content, pair.style))
        self._content = network(content, self.LAYERS)[self.CONTENT]
        features = network(style, self.LAYERS)
        self._style = {layer: _summed_gram(features[layer]) for layer in self.STYLE}
        self._shapes = {layer: features[layer].shape[1:] for layer in self.LAYERS.values()}
        self._target = content.clone().requires_grad_()
        self._optimizer = torch.optim.Adam([self._target], lr=self.LEARNING_RATE)

    def step(self) -> Tensor:
        """Make a step of Adam."""
        loss = self._loss(self._target)
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        return loss.detach()

    def _loss(self, target: Tensor) -> Tensor:
        features = self._network(target, self.LAYERS)
        content_loss = torch.mean((features[self.CONTENT] - self._content) ** 2)
        style_loss = torch.zeros_like(content_loss)
        for layer, weight in self.STYLE.items():
            _, channels, height, width = features[layer].shape
            layer_loss = weight * torch.mean((_summed_gram(features[layer]) - self._style[layer]) ** 2)
            style_loss = style_loss + layer_loss / (channels * height * width)
        return self.CONTENT_WEIGHT * content_loss + self.STYLE_WEIGHT * style_loss

    @property
    def image(self) -> Tensor:
        """Not clipped."""
        return self._network.shown(self._target.detach())

    @torch.no_grad()
    def objective(self, image: Tensor) -> float:
        """The objective of any image of the full size."""
        return self._loss(self._network.normalised(image)).item()

    def coefficients(self) -> Coefficients:
        """A sum over N positions is N times their mean, so a squared difference of sums is N² times that of means."""
        style = {}
        for layer, weight in self.STYLE.items():
            channels, height, width = self._shapes[layer]
            positions = height * width
            style[layer] = self.STYLE_WEIGHT * weight * positions**2 / channels**2 / (channels * positions)
        return Coefficients({self.CONTENT: self.CONTENT_WEIGHT / self._content.numel()}, style)


def _summed_gram(features: Tensor) -> Tensor:
    """F Fᵀ, without a divisor."""
    rows = features.flatten(2)[0]
    return rows @ rows.T


class Pastiche(Peer):
    """The unchanged ``pastiche`` from PyPI with its defaults: L-BFGS, float32. Only its loader is not used."""

    steps = 100

    def __init__(self, pair: Pair, network: Any, device: torch.device) -> None:
        from pastiche.pastiche import VGG_MEAN, PasticheArtist

        self._mean = torch.tensor(VGG_MEAN, device=device)[:, None, None]
        with Image.open(pair.content) as content:
            longer_side = max(content.size)
        # Its artist would load the weights from Python lists each time; here they are loaded already.
        loading = mock.patch("pastiche.pastiche.VGG19.from_quantized_bin", return_value=network)
        with loading, warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Image.Image.getdata", DeprecationWarning)
            self._artist = PasticheArtist(str(pair.content), [str(pair.style)], size=longer_side, device=str(device))

    @staticmethod
    def network(parameters: Parameters) -> Any:
        """The class of pastiche, with weights for BGR in [0, 255] minus the mean."""
        from pastiche.vgg19 import VGG19

        mean = torch.tensor(CAFFE_MEAN_BGR).flip(0) / 255
        own = rebased(parameters, mean, torch.full((3,), 1 / 255))
        own["0.weight"] = own["0.weight"].flip(1)
        pairs = {
            f"block{block}_conv{number}": (own[f"{index}.weight"], own[f"{index}.bias"])
            for (block, number), index in CONVOLUTIONS.items()
        }
        return VGG19(VGG19.Weights(**pairs))

    def step(self) -> float:
        """Call ``draw`` once. With its ``max_iter`` of 1, this is one evaluation and one update."""
        self._artist.draw()
        return float(self._artist.loss)

    @property
    def image(self) -> Tensor:
        """Not clipped."""
        image: Tensor = (self._artist.pastiche.detach() + self._mean).flip(1) / 255
        return image

    @torch.no_grad()
    def objective(self, image: Tensor) -> float:
        """The objective, by the method of pastiche's class."""
        own, self._artist.pastiche = self._artist.pastiche, image.flip(1) * 255 - self._mean
        try:
            return float(self._artist._calc_loss().item())
        finally:
            self._artist.pastiche = own

    def coefficients(self) -> Coefficients:
        """The content has 0.01 · the mean over the features, the style 10 / C² · the mean over C² correlations."""
        artist = self._artist
        channels = {layer: artist.style_targetss[0][layer].shape[1] for layer in artist.style_layers}
        return Coefficients(
            {_named(layer): 0.01 / artist.content_targets[layer].numel() for layer in artist.content_layers},
            {_named(layer): 10 / channels[layer] ** 4 for layer in artist.style_layers},
        )


def _named(keras: str) -> Any:
    """The engine's name of a layer, such as relu4_2 for ``block4_relu2``."""
    block, layer = keras.removeprefix("block").split("_")
    return f"{layer[:-1]}{block}_{layer[-1]}"
