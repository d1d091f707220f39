"""The yardstick for GPUs: style-transfer-pytorch by crowsonkb at its published defaults."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.recipe import Layer
from engine.vgg.weights import Parameters
from tests.benchmarks.peers import Bank, Pair, Peer, opened


def scales(size: int, coarsest: int = 128) -> list[int]:
    """The longer sides in pixels, each √2 times the previous one. A small ``size`` is the only scale."""
    found = [size]
    while (coarser := round(size / 2 ** (len(found) / 2))) >= coarsest:
        found.insert(0, coarser)
    return found


class Crowsonkb(Peer):
    """The published defaults of github.com/crowsonkb/style-transfer-pytorch, implemented from their formulas.

    Five scales, each √2 finer; Adam, clamped; the picture is the average of the iterates. The style loss is the squared
    Wasserstein distance between Gaussians, which no recipe of Atelier has. Its weights were chosen for torchvision's
    VGG19: with the original one, whose features are larger, its total variation counts for less.
    """

    FIRST_STEPS: int = 1000
    LATER_STEPS: int = 500
    """The steps at the first scale, and at each later scale."""
    LEARNING_RATE: Final = 0.02
    BETAS: Final = (0.9, 0.99)
    AVERAGE: Final = 0.99
    CONTENT_WEIGHT: Final = 0.015
    TOTAL_VARIATION: Final = 2.0
    CONTENT: Final[Layer] = "relu4_2"
    LAYERS: Final[Mapping[int, Layer]] = {
        1: "relu1_1", 6: "relu2_1", 11: "relu3_1", 20: "relu4_1", 22: "relu4_2", 29: "relu5_1"
    }  # fmt: skip
    STYLE: Final[Mapping[Layer, float]] = {
        "relu1_1": 256 / 341, "relu2_1": 64 / 341, "relu3_1": 16 / 341, "relu4_1": 4 / 341, "relu5_1": 1 / 341
    }  # fmt: skip

    def __init__(self, pair: Pair, network: Bank, device: torch.device) -> None:
        self._network = network.to(device)
        self._content, self._style = (opened(path, device) for path in (pair.content, pair.style))
        height, width = self._content.shape[-2:]
        size = max(height, width)
        self._ahead = [(round(height * each / size), round(width * each / size)) for each in scales(size)]
        self.steps = self.FIRST_STEPS + self.LATER_STEPS * (len(self._ahead) - 1)
        self._full = self._targets((height, width))
        self._begin(_resized(self._content, self._ahead.pop(0)), None)

    @staticmethod
    def network(parameters: Parameters) -> Bank:
        """Return VGG19 with replicated borders in its first layer."""
        return Bank(parameters, padding="replicate")

    def _begin(self, image: Tensor, moments: Mapping[str, Tensor] | None) -> None:
        """Start the scale of ``image``, with the moments of the previous scale."""
        shape = image.shape[-2:]
        self._targets_here = self._targets((shape[0], shape[1]))
        self._left = self.LATER_STEPS if moments else self.FIRST_STEPS
        self._image = image.clamp(0, 1).requires_grad_()
        self._sum, self._weight = torch.zeros_like(image), 0.0
        self._optimizer = torch.optim.Adam([self._image], lr=self.LEARNING_RATE, betas=self.BETAS)
        if moments:
            self._optimizer.state[self._image] = {
                "step": moments["step"],
                "exp_avg": F.interpolate(moments["exp_avg"], shape, mode="bicubic"),
                "exp_avg_sq": F.interpolate(moments["exp_avg_sq"], shape, mode="bilinear").relu(),
            }
        self._average()

    @torch.no_grad()
    def _average(self) -> None:
        self._sum = self.AVERAGE * self._sum + (1 - self.AVERAGE) * self._image
        self._weight = self.AVERAGE * self._weight + 1 - self.AVERAGE

    def step(self) -> None:
        """Make a step, at the next scale if this one is finished."""
        if not self._left:
            image = F.interpolate(self.image, self._ahead.pop(0), mode="bicubic")
            self._begin(image, self._optimizer.state[self._image])
        self._optimizer.zero_grad()
        self._loss(self._image, self._targets_here).backward()
        self._optimizer.step()
        with torch.no_grad():
            self._image.clamp_(0, 1)
        self._average()
        self._left -= 1

    @torch.no_grad()
    def _targets(self, shape: tuple[int, int]) -> tuple[Tensor, dict[Layer, "Gaussian"]]:
        content, style = (
            self._network(self._network.normalised(_resized(image, shape)), self.LAYERS)
            for image in (self._content, self._style)
        )
        return content[self.CONTENT], {layer: Gaussian.of(style[layer]) for layer in self.STYLE}

    def _loss(self, image: Tensor, targets: tuple[Tensor, dict[Layer, "Gaussian"]]) -> Tensor:
        content, style = targets
        features = self._network(self._network.normalised(image), self.LAYERS)
        loss = self.CONTENT_WEIGHT * F.mse_loss(features[self.CONTENT], content)
        for layer, weight in self.STYLE.items():
            loss = loss + weight * style[layer].distance(Gaussian.of(features[layer]))
        return loss + self.TOTAL_VARIATION * variation(image)

    @property
    def image(self) -> Tensor:
        """The average of the iterates, at the current scale."""
        return self._sum / self._weight

    @torch.no_grad()
    def objective(self, image: Tensor) -> float:
        """The objective at the full size."""
        return self._loss(image, self._full).item()

    def coefficients(self) -> None:
        """Return None, since the objective is not a sum of squared differences of Gram matrices."""
        return


def _resized(image: Tensor, shape: tuple[int, int]) -> Tensor:
    if image.shape[-2:] == shape:
        return image
    return F.interpolate(image, shape, mode="bicubic", antialias=True).clamp(0, 1)


def variation(image: Tensor) -> Tensor:
    """Squared differences with the eight neighbours. Diagonal ones have a quarter of the weight."""
    padded = F.pad(image, (1, 1, 1, 1), mode="replicate")
    beside = (padded[..., 1:-1, 2:] - padded[..., 1:-1, 1:-1]).square().mean()
    below = (padded[..., 2:, 1:-1] - padded[..., 1:-1, 1:-1]).square().mean()
    falling = (padded[..., 1:, 1:] - padded[..., :-1, :-1]).square().mean()
    rising = (padded[..., 1:, :-1] - padded[..., :-1, 1:]).square().mean()
    return (beside + below) * 2 / 3 + (falling + rising) / 6


@dataclass(frozen=True)
class Gaussian:
    """The normal distribution with the mean and the covariance of a layer's features."""

    mean: Tensor
    covariance: Tensor

    @cached_property
    def root(self) -> Tensor:
        """Of the covariance: computed once for a target."""
        return _square_root(self.covariance)

    @classmethod
    def of(cls, features: Tensor) -> "Gaussian":
        rows = features.flatten(2)[0]
        mean = rows.mean(1)
        noise = 1e-4 * torch.eye(len(mean), device=rows.device)
        return cls(mean, rows @ rows.T / rows.shape[1] - torch.outer(mean, mean) + noise)

    def distance(self, other: "Gaussian") -> Tensor:
        """W2² / channels: ‖Δμ‖² + tr(Σ + Σ' − 2 (Σ^½ Σ' Σ^½)^½)."""
        mixed = _square_root(self.root @ other.covariance @ self.root)
        spread = self.covariance + other.covariance - 2 * mixed
        return (self.mean - other.mean).square().mean() + spread.diagonal().mean()


def _square_root(matrix: Tensor, rounds: int = 12) -> Tensor:
    """Of a symmetric positive definite matrix, by Newton's and Schulz's iteration (Higham, 1986)."""
    norm = matrix.norm()
    root, inverse = matrix / norm, torch.eye(len(matrix), device=matrix.device)
    for _ in range(rounds):
        step = (3 * torch.eye(len(matrix), device=matrix.device) - inverse @ root) / 2
        root, inverse = root @ step, step @ inverse
    scaled: Tensor = root * norm.sqrt()
    return scaled
