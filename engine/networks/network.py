"""The architecture: residual blocks between a reduction and an enlargement, with conditional instance normalisation.

Johnson, Alahi and Fei-Fei, "Perceptual Losses for Real-Time Style Transfer" (ECCV 2016), and Dumoulin, Shlens and
Kudlur, "A Learned Representation for Artistic Style" (ICLR 2017). It differs from theirs in two ways. The first layers
read squares of two by two pixels, because layers at full size take most of the time on a CPU. The last layer reads the
picture too, normalised to the style's colours, so that a network without training returns the recoloured picture.
"""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.errors import NetworkUnusable
from engine.networks.file import BLOCKS, WIDEST, NetworkFile

MULTIPLE: Final = 4
"""The network reads pictures whose sides are multiples of so many pixels; others are padded."""
NOISE: Final = 0.03
"""The standard deviation of the noise that a network is trained with."""
_EPSILON: Final = 1e-4
_DARKEST: Final = 0.02
"""Colours are clamped to [0.02, 0.98] before the logarithm of their odds is taken."""


class StyleNetwork(nn.Module):
    """Paints pictures in the styles that it learned. Float32 parameters; computes in the precision of autocast."""

    def __init__(self, styles: int, widths: tuple[int, int] = WIDEST) -> None:
        """``styles`` is their number, at least 1."""
        super().__init__()
        half, quarter = self.widths = widths
        self.styles = styles
        self.picture = ConditionalNorm(styles, 3)
        self.stem = _Layer(styles, 12, half)
        self.down = _Layer(styles, half, quarter, stride=2)
        self.blocks = nn.ModuleList(_Residual(styles, quarter) for _ in range(BLOCKS))
        self.to_half = _Layer(styles, quarter, half)
        self.to_full = _convolution(half, 12)
        self.last = _convolution(6, 3)
        with torch.no_grad():
            self.to_full.weight.mul_(0.1)
            self.last.weight.zero_()
            self.last.weight[range(3), range(3), 1, 1] = 1
            self.last.weight[range(3), range(3, 6), 1, 1] = 1

    @classmethod
    def of(cls, file: NetworkFile) -> "StyleNetwork":
        """The network of a file.

        Raises:
            NetworkUnusable: a parameter is not finite.
        """
        made = cls(len(file.card.styles), file.card.widths)
        state = {
            name: torch.frombuffer(bytearray(file.parameters[name]), dtype=torch.float16).view(shape).float()
            for name, shape in file.shapes.items()
        }
        if not all(each.isfinite().all() for each in state.values()):
            raise NetworkUnusable("It has parameters that are not finite.")
        made.load_state_dict(state)
        return made.to(memory_format=torch.channels_last).requires_grad_(False)

    def parameters_as_bytes(self) -> dict[str, bytes]:
        """As :attr:`engine.networks.file.NetworkFile.parameters`."""
        return {
            name: value.detach().half().contiguous().cpu().numpy().tobytes()
            for name, value in self.state_dict().items()
        }

    @property
    def norms(self) -> list["ConditionalNorm"]:
        """All normalisations, in which alone the styles differ."""
        return [each for each in self.modules() if isinstance(each, ConditionalNorm)]

    def forward(self, pictures: Tensor, mix: Tensor, noise: Tensor) -> Tensor:
        """Paint pictures.

        Args:
            pictures: shape (batch, 3, height, width), float32, RGB in [0, 1].
            mix: the share of each style in each painting, shape (batch, styles); rows sum to 1.
            noise: from which strokes grow in plain areas, shaped as ``pictures``: of a mean of 0 and a standard
                deviation of about :data:`NOISE`. It is not in the colours that the last layer reads.

        Returns:
            The same shape, float32, in (0, 1).
        """
        height, width = pictures.shape[-2:]
        sides = (0, -width % MULTIPLE, 0, -height % MULTIPLE)
        padded = F.pad(pictures, sides, mode="replicate").contiguous(memory_format=torch.channels_last)
        seeded = F.pad(pictures + noise, sides, mode="replicate")
        small = F.pixel_unshuffle(seeded - 0.5, 2).contiguous(memory_format=torch.channels_last)
        found = self.down(self.stem(small, mix), mix)
        for block in self.blocks:
            found = block(found, mix)
        # Repeated pixels would show as squares of four pixels.
        found = self.to_half(F.interpolate(found, scale_factor=2, mode="bilinear", align_corners=False), mix)
        found = _without_grid(F.pixel_shuffle(self.to_full(found).float(), 2))
        coloured = self.picture(log_odds(padded), mix)
        # The last layer computes in float32: 8 bits would show as grain.
        with torch.autocast(pictures.device.type, enabled=False):
            painted: Tensor = self.last(torch.cat((found, coloured.float()), dim=1)).sigmoid()
        return painted[..., :height, :width]

    @torch.no_grad()
    def begin_style(self, index: int, picture: Tensor) -> None:
        """Give a style the colours of its ``picture``, shape (1, 3, height, width), to start its training from."""
        colours = log_odds(picture)[0].flatten(1)
        self.picture.scale[index] = colours.std(dim=1)
        self.picture.shift[index] = colours.mean(dim=1)

    @torch.no_grad()
    def with_styles(self, styles: int) -> "StyleNetwork":
        """A copy that has so many new styles instead. Each starts from the mean of this network's styles."""
        made = StyleNetwork(styles, self.widths)
        state = self.state_dict()
        for name, value in state.items():
            if name.rpartition(".")[2] in {"scale", "shift"}:
                state[name] = value.mean(dim=0, keepdim=True).repeat(styles, 1)
        made.load_state_dict(state)
        return made


class ConditionalNorm(nn.Module):
    """Instance normalisation with a scale and a shift for each style and channel (Dumoulin et al., ICLR 2017)."""

    def __init__(self, styles: int, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(styles, channels))
        self.shift = nn.Parameter(torch.zeros(styles, channels))

    def forward(self, values: Tensor, mix: Tensor) -> Tensor:
        """Normalise ``values``, shape (batch, channels, height, width). ``mix`` as in :class:`StyleNetwork`."""
        # Of one picture at a time: a batch normalisation, which takes a fifth of the time of other ways to compute it.
        scale, shift = ((mix[:, :, None] * each).sum(dim=1) for each in (self.scale, self.shift))
        normalised = [
            F.batch_norm(one[None], None, None, gain, bias, training=True, momentum=0.0, eps=_EPSILON)
            for one, gain, bias in zip(values, scale, shift, strict=True)
        ]
        return torch.cat(normalised) if len(normalised) > 1 else normalised[0]


class _Layer(nn.Module):
    """A convolution, its normalisation, and a ReLU."""

    def __init__(self, styles: int, before: int, after: int, stride: int = 1) -> None:
        super().__init__()
        self.convolution = _convolution(before, after, stride)
        self.norm = ConditionalNorm(styles, after)

    def forward(self, values: Tensor, mix: Tensor) -> Tensor:
        return F.relu(self.norm(self.convolution(values), mix), inplace=True)


class _Residual(nn.Module):
    """Adds two layers to what they read; the second without a ReLU."""

    def __init__(self, styles: int, width: int) -> None:
        super().__init__()
        self.first = _Layer(styles, width, width)
        self.second = _convolution(width, width)
        self.norm = ConditionalNorm(styles, width)

    def forward(self, values: Tensor, mix: Tensor) -> Tensor:
        change: Tensor = self.norm(self.second(self.first(values, mix)), mix)
        return values + change


def _convolution(before: int, after: int, stride: int = 1) -> nn.Conv2d:
    """Without a bias, which a normalisation would remove. Zeros at the border would show as a frame."""
    return nn.Conv2d(before, after, 3, stride, padding=1, padding_mode="replicate", bias=False)


def _without_grid(values: Tensor) -> Tensor:
    """Remove what alternates from pixel to pixel, by the weights ¼, ½, ¼ along both sides.

    The four pixels of a square come from different channels (Shi et al., CVPR 2016), whose differences would show as a
    grid.
    """
    for sides in ((1, 1, 0, 0), (0, 0, 1, 1)):
        padded = F.pad(values, sides, mode="replicate")
        step = (..., slice(None), slice(1, None)) if sides[0] else (..., slice(1, None), slice(None))
        back = (..., slice(None), slice(None, -1)) if sides[0] else (..., slice(None, -1), slice(None))
        means = (padded[step] + padded[back]) / 2
        values = (means[step] + means[back]) / 2
    return values


def log_odds(pictures: Tensor) -> Tensor:
    """log(c / (1 - c)) of each colour, the inverse of the network's last step."""
    odds: Tensor = pictures.clamp(_DARKEST, 1 - _DARKEST).logit()
    return odds
