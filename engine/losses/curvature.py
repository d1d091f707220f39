"""The curvature of the squared distance between Gram matrices, and a gradient that allows for it.

The features of VGG19 have a few strong directions, such as their mean, and many weak ones. A gradient step that is
short enough for the strong ones hardly changes the weak ones. For features F with the Gram matrix G = F Fᵀ / n, a
difference R of Gram matrices, ‖R‖² has the gradient 4 R F / n. A step along it changes R in proportion to R G + G R.
The method of Gauss and Newton makes the change proportional to R: it replaces R by X with X G + G X = R, which is Xᵢⱼ =
Rᵢⱼ / (λᵢ + λⱼ) in the eigenvectors of G, whose eigenvalues are λ. Nocedal and Wright, "Numerical Optimization" (2006),
section 10.3. G is the style's, so the eigenvectors are computed once for each scale.
"""

from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

DAMPING: Final = 0.01
"""Is added to λᵢ + λⱼ, for a largest eigenvalue of 1: differences in the weakest directions are mostly noise."""
_TINY: Final = 1e-30


@dataclass(frozen=True, slots=True)
class Curvature:
    """The eigenvectors of a style's Gram matrix, and the factors of differences along them."""

    axes: Tensor
    """Eigenvectors as columns, shape (channels, channels), in the precision to compute in."""
    factors: Tensor
    """Shape (channels, channels), in the same precision."""

    @classmethod
    def of(cls, gram: Tensor, difference: Tensor, dtype: torch.dtype) -> "Curvature":
        """The curvature at ``gram``, of shape (1, channels, channels).

        Args:
            gram: of the style.
            difference: from it at the start, of the same shape. The factors keep its mean square.
            dtype: the precision to compute in.
        """
        values, axes = torch.linalg.eigh(gram[0])
        values = values.clamp(min=0) / values[-1].clamp(min=_TINY)
        factors = 1 / (values[:, None] + values + DAMPING)
        along = (axes.mT @ difference[0] @ axes).square()
        factors = factors * (along.sum() / (factors * along).sum().clamp(min=_TINY))
        return cls(axes.to(dtype), factors.to(dtype))

    def square(self, difference: Tensor) -> Tensor:
        """‖R‖² for a difference R of shape (1, channels, channels), with a gradient that allows for the curvature."""
        found: Tensor = _Square.apply(difference, self)
        return found

    def allowed_for(self, difference: Tensor) -> Tensor:
        """The difference with its parts along the axes multiplied by their factors, float32."""
        along = self.axes.mT @ difference.to(self.axes.dtype) @ self.axes
        return (self.axes @ (along * self.factors) @ self.axes.mT).float()


class _Square(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, difference: Tensor, curvature: Curvature) -> Tensor:
        context.save_for_backward(difference)
        context.curvature = curvature
        return difference.square().sum()

    @staticmethod
    @once_differentiable
    def backward(context: Any, slope: Tensor) -> tuple[Tensor, None]:
        (difference,) = context.saved_tensors
        return 2 * slope * context.curvature.allowed_for(difference), None
