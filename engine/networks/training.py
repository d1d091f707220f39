"""Trains a network on photos to minimise the objective of a painting: Johnson, Alahi and Fei-Fei (ECCV 2016)."""

import time
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any, Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from engine.images.codec import Picture, fitted
from engine.networks.file import NetworkFile
from engine.networks.network import MULTIPLE, NOISE, StyleNetwork
from engine.networks.photos import DRAWN, Photos, drawn
from engine.networks.pixels import picture_of, tensor_of
from engine.networks.plan import EVENED, MARGIN, NORMS_SHARE, STYLE_SIDE, Plan, Trained, TrainedChunk, TrainingOrder
from engine.painting.pyramid import Scale
from engine.painting.targets import Targets
from engine.vgg.vgg19 import VGG19

LONGEST_PHOTO: Final = 768
"""The longer side, in pixels, to which photos are reduced when they are read."""
_LARGEST_GRADIENT: Final = 1.0
"""The norm to which the gradient of a step is clipped."""
_TINY: Final = 1e-6
AVERAGED: Final = 100
"""The steps over which losses are averaged."""

Decode = Callable[..., Picture]
"""Decodes bytes to at most ``longer_side`` pixels: see :func:`engine.images.codec.decode`."""


def begin(order: TrainingOrder, vgg: VGG19, decode: Decode) -> "Training":
    """Begin a training.

    Raises:
        PictureError: a picture can't be decoded.
        NetworkUnusable: the base can't be used.
    """
    base = StyleNetwork.of(NetworkFile.read(order.base)) if order.base else None
    styles = [decode(each, longer_side=STYLE_SIDE) for each in order.styles]
    photos = [decode(each, longer_side=LONGEST_PHOTO).rgb for each in order.photos]
    if not photos:
        photos = [*(each.rgb for each in styles), *drawn(DRAWN, order.plan.seed)]
    return Training(styles, Photos(photos), order.plan, vgg, base)


class Training:
    """A network that is being trained. Each call of :meth:`step` takes one step."""

    def __init__(
        self, styles: Sequence[Picture], photos: Photos, plan: Plan, vgg: VGG19, base: StyleNetwork | None = None
    ) -> None:
        """Begin a training of a new network, or of a copy of ``base`` in which the styles replace those it knew."""
        self.plan = plan
        self.steps = 0
        self.seconds = 0.0
        """Spent in :meth:`step`."""
        self.losses: tuple[float, ...] = (0.0, 0.0, 0.0)
        """All together, of content, and of style: means over the last steps."""
        self.styles = [_small(each.rgb) for each in styles]
        """Their pictures as they are learned, in the order of the network's styles."""
        self._photos = photos
        self._vgg = vgg
        self._tunes = base is not None
        torch.manual_seed(plan.seed)
        network = StyleNetwork(len(styles), plan.widths) if base is None else base.with_styles(len(styles))
        network.to(memory_format=torch.channels_last)
        self.network = network.to(vgg.device)
        for index, style in enumerate(self.styles):
            self.network.begin_style(index, tensor_of(style).to(vgg.device))
        norms = {id(each) for norm in self.network.norms for each in norm.parameters()}
        parameters = list(self.network.parameters())
        self._convolutions = [each for each in parameters if id(each) not in norms]
        self._optimiser = torch.optim.Adam(
            [{"params": [each for each in parameters if id(each) in norms]}, {"params": self._convolutions}]
        )

    @property
    def done(self) -> float:
        """The share of the training that is done, from 0 to 1."""
        return self.plan.done(self.steps, self.seconds)

    def step(self, check: Callable[[], None] = lambda: None) -> Trained:
        """Take one step. What ``check`` raises ends it, without a change of the network."""
        began = time.monotonic()
        chance = np.random.default_rng((self.plan.seed, self.steps))
        side = self.plan.side(self.done)
        crops = [self._photos.crop(chance, side + MARGIN) for _ in range(self.plan.batch)]
        left, top = (int(each) for each in chance.integers(0, MARGIN, 2, endpoint=True))
        chosen = self._chosen()
        mix = F.one_hot(torch.tensor(chosen), self.network.styles).float().to(self._vgg.device)
        images = torch.cat([tensor_of(each) for each in crops]).to(self._vgg.device)
        noise = torch.from_numpy(chance.standard_normal(images.shape, dtype=np.float32)).to(images)
        self._set_rates()
        with self._autocast():
            whole = self.network(images, mix, NOISE * noise)
        painted = whole[..., top : top + side, left : left + side]
        slopes, losses = [], []
        for image, crop, style in zip(painted.detach(), crops, chosen, strict=True):
            seen = crop.crop((left, top, left + side, top + side))
            slope, values = self._slope(image[None], seen, Picture(self.styles[style]), check)
            slopes.append(slope)
            losses.append(values)
        self._optimiser.zero_grad(set_to_none=True)
        # Its gradient by the paintings is that of the mean of their losses.
        loss = (painted * (torch.cat(slopes) / len(slopes))).sum()
        after, weight = EVENED
        if self.done >= after:
            loss = loss + weight * unevenness(whole)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), _LARGEST_GRADIENT)
        self._optimiser.step()
        self.steps += 1
        share = 1 / min(self.steps, AVERAGED)
        means = np.mean(losses, axis=0)
        self.losses = tuple(
            (1 - share) * before + share * mean for before, mean in zip(self.losses, means, strict=True)
        )
        self.seconds += time.monotonic() - began
        return Trained(self.steps, self.done, self.seconds, *map(float, self.losses))

    def run(self, seconds: float, check: Callable[[], None]) -> TrainedChunk:
        """Take steps for some seconds, at least one, or until the end. ``check`` as in :meth:`step`."""
        trained: list[Trained] = []
        until = self.seconds + seconds
        while self.done < 1 and not (trained and self.seconds >= until):
            trained.append(self.step(check))
        return TrainedChunk(self.state(), tuple(trained))

    def examples(self, number: int) -> list[Image.Image]:
        """Some of the photos, spread over all of them."""
        photos = self._photos.pictures
        return [photos[index * len(photos) // number] for index in range(min(number, len(photos)))]

    @torch.no_grad()
    def painted(self, picture: Image.Image, style: int) -> Image.Image:
        """A picture in the style of this index."""
        mix = torch.eye(self.network.styles, device=self._vgg.device)[style][None]
        with self._autocast():
            image = tensor_of(picture).to(self._vgg.device)
            noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(self.plan.seed)).to(image)
            return picture_of(self.network(image, mix, NOISE * noise))

    def state(self) -> bytes:
        """Everything that :meth:`resume` needs."""
        buffer = BytesIO()
        fields = {
            "steps": self.steps,
            "seconds": self.seconds,
            "losses": tuple(map(float, self.losses)),
            "network": self.network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
        }
        torch.save(fields, buffer)
        return buffer.getvalue()

    def resume(self, state: bytes) -> None:
        """Go on from a :meth:`state` of an order with the same key.

        Raises:
            Exception: whatever torch raises for other bytes. They can't run code (``weights_only``).
        """
        fields: dict[str, Any] = torch.load(BytesIO(state), map_location=self._vgg.device, weights_only=True)
        self.network.load_state_dict(fields["network"])
        self._optimiser.load_state_dict(fields["optimiser"])
        self.steps, self.seconds, self.losses = fields["steps"], fields["seconds"], fields["losses"]

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self._vgg.device.type, self._vgg.dtype, enabled=self._vgg.dtype != torch.float32)

    def _chosen(self) -> list[int]:
        """The styles of this step's photos: each style in turn, in another order each time."""
        chosen = []
        for place in range(self.steps * self.plan.batch, (self.steps + 1) * self.plan.batch):
            round_, index = divmod(place, self.network.styles)
            order = np.random.default_rng((self.plan.seed, 1, round_)).permutation(self.network.styles)
            chosen.append(int(order[index]))
        return chosen

    def _set_rates(self) -> None:
        done = self.done
        rate = self.plan.rate(done)
        norms, convolutions = self._optimiser.param_groups
        norms["lr"] = rate
        convolutions["lr"] = rate / 2 if self._tunes else rate
        for each in self._convolutions:
            each.requires_grad_(not self._tunes or done >= NORMS_SHARE)

    def _slope(
        self, image: Tensor, crop: Image.Image, style: Picture, check: Callable[[], None]
    ) -> tuple[Tensor, tuple[float, float, float]]:
        """The gradient of a painting's losses, and these: all together, of content, of style."""
        targets = Targets(Picture(crop), [style], self.plan.recipe(crop.width, self.done), self._vgg, check)
        objective = targets.objective(Scale(crop.width, 1, 1.0))
        leaf = image.clone().requires_grad_()
        losses = objective(self._vgg.features(leaf, objective.layers, check), leaf)
        (slope,) = torch.autograd.grad(losses.total, leaf)
        return slope, (losses.total.item(), losses.terms["content"].item(), losses.terms["style"].item())


def unevenness(painted: Tensor) -> Tensor:
    """How much more neighbouring pixels differ at some places in squares of :data:`MULTIPLE` pixels than at others.

    A network computes each place in such a square in another way, which shows as a weave. This is the variance over
    these places of the mean difference, divided by its mean: averaged over both directions and all of ``painted``,
    shape (batch, 3, height, width). A scalar; 0 is even.
    """
    variances = []
    for direction in (-2, -1):
        found = painted.diff(dim=direction).abs().mean(dim=1, keepdim=True)
        height, width = (side - side % MULTIPLE for side in found.shape[-2:])
        means = F.pixel_unshuffle(found[..., :height, :width], MULTIPLE).mean(dim=(2, 3))
        variances.append((means / means.mean(dim=1, keepdim=True).clamp(min=_TINY)).var(dim=1, correction=0))
    return torch.stack(variances).mean()


def _small(picture: Image.Image) -> Image.Image:
    return picture.resize(fitted(picture.size, STYLE_SIDE), Image.Resampling.LANCZOS)
