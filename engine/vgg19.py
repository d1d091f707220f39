"""VGG19 as a bank of features: Simonyan and Zisserman, "Very Deep Convolutional Networks" (ICLR 2015)."""

from collections.abc import Callable, Collection
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import vgg19

from engine import weights
from engine.recipe import Layer


def _nothing() -> None:
    """The default of ``checkpoint`` in :meth:`VGG19.features`."""


class VGG19:
    """The convolutions of VGG19 on one device, frozen, with the activations in one precision.

    The first convolution always computes in float32 and pads by replication: the image keeps its full precision
    (bfloat16 has 8 bits, which would show as grain), and no dark frame grows from the border.
    """

    def __init__(self, parameters: weights.Parameters, device: torch.device, dtype: torch.dtype) -> None:
        with torch.device("meta"):
            network = vgg19(weights=None).features
        network.load_state_dict(parameters, assign=True)
        network.eval().requires_grad_(requires_grad=False).to(device, memory_format=torch.channels_last)
        self.device = device
        self.dtype = dtype
        modules = list(network.children())
        first = modules[0]
        assert isinstance(first, nn.Conv2d)  # noqa: S101 - tells the type checker what torchvision's VGG19 starts with
        self._first_weight, self._first_bias = first.weight, first.bias
        self._modules: list[tuple[str, nn.Module]] = []
        block, number = 1, 1
        for module in modules[1:]:
            if isinstance(module, nn.Conv2d):
                self._modules.append((f"conv{block}_{number}", module.to(dtype)))
            elif isinstance(module, nn.ReLU):
                self._modules.append((f"relu{block}_{number}", nn.ReLU(inplace=True)))
                number += 1
            else:
                self._modules.append((f"pool{block}", module))
                block, number = block + 1, 1

    def features(
        self, image: Tensor, layers: Collection[Layer], checkpoint: Callable[[], None] = _nothing
    ) -> dict[Layer, Tensor]:
        """Compute the activations of ``layers``, and no layer beyond the last of them.

        Args:
            image: shape (1, 3, height, width), float32, RGB in [0, 1]; sides of at least 16 pixels.
            layers: which activations to return, each of shape (1, channels, height / 2^(block-1), width / 2^(block-1)).
            checkpoint: called before each convolution but the first, forwards and backwards. What it raises ends the
                computation, so that a step of many seconds can be cancelled within a fraction of one.
        """
        found: dict[Layer, Tensor] = {}
        wanted = set(layers)
        padded = F.pad(image, (1, 1, 1, 1), mode="replicate").contiguous(memory_format=torch.channels_last)
        activation = F.conv2d(padded, self._first_weight, self._first_bias)
        for name, module in self._modules:
            if isinstance(module, nn.Conv2d):
                checkpoint()
            activation = module(activation)
            if name == "relu1_1":
                activation = activation.to(self.dtype)
            if name.startswith("relu"):
                if activation.requires_grad:
                    activation.register_hook(lambda _: checkpoint())
                for layer in wanted:
                    if layer == name:
                        found[layer] = activation
                if len(found) == len(wanted):
                    return found
        raise ValueError(f"VGG19 has no layer {wanted - set(found)}")


@lru_cache(maxsize=2)
def resident(source: str, device: torch.device, dtype: torch.dtype) -> VGG19:
    """Load VGG19 once in each process and keep it: see :func:`engine.weights.load` for ``source`` and errors."""
    return VGG19(weights.load(source), device, dtype)
