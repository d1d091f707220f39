"""The optimisers of an image: Adam and L-BFGS. Both carry the image from one scale to the next."""

from collections.abc import Callable, Mapping
from typing import Final, Protocol

import torch
from torch import Tensor

from engine.images.resampling import resampled
from engine.losses.objective import Losses
from engine.optim.cuda_graphs import replayed
from engine.optim.preconditioning import filtered, spectral_filter
from engine.recipe import Optimiser as Name

Evaluate = Callable[[Tensor], Losses]
"""Computes the losses of an image; :attr:`Losses.total` has a gradient."""

BETAS: Final = (0.85, 0.85)
"""Adam's decay rates. In a few hundred steps they reach a lower loss than the usual 0.9 and 0.999."""
ADAM_EPSILON: Final = 0.5
"""Adam's epsilon, for a gradient of root mean square 1. With the usual 1e-8 every pixel moves equally far, also where
its gradient is mostly noise. That leaves coloured grain.
"""
GRADIENT_SPECTRAL_POWER: Final = 0.4
"""The exponent p of the weights frequency^-p on the spectrum of Adam's gradient."""
IMAGE_SPECTRAL_POWER: Final = 0.25
"""The same for the variable of L-BFGS. About half as large, since its gradient is weighted twice."""
HISTORY: Final = 20
"""The number of steps in the history of L-BFGS. Each takes the memory of two images."""
_MOMENTS: Final = ("exp_avg", "exp_avg_sq")
"""Adam's running means of the gradient and of its square, as torch names them."""
_TINY: Final = 1e-30
FIRST_STEP: Final = 0.01
"""The mean change of a pixel in the first step of L-BFGS, which has no curvature yet; for pixels in [0, 1]."""


class Optimiser(Protocol):
    """An image that is being optimised."""

    image: Tensor
    """Shape (1, 3, height, width), float32, in [0, 1]."""

    def begin(self, image: Tensor, evaluate: Evaluate, pace: Tensor | None = None) -> None:
        """Go on from ``image``, which may have another size than the one before, and minimise ``evaluate``.

        ``pace`` has factors of the learning rate, shape (1, 1, height, width); None for the same rate everywhere.
        """

    def release(self) -> None:
        """Free the memory for steps at this size. The image stays, with the state for the next size."""

    def step(self, rate: float) -> Losses:
        """Take one step with the learning rate ``rate``, for pixels in [0, 1]. Returns the losses before the step."""

    def state(self) -> dict[str, Tensor]:
        """The tensors, on the CPU, that another process needs besides the image to go on."""


def optimiser(name: Name, image: Tensor, state: Mapping[str, Tensor] | None = None) -> Optimiser:
    """The optimiser of a name, at ``image`` of shape (1, 3, height, width) and with the ``state`` of an earlier one.

    For ``gauss-newton`` it is Adam: the gradient that Adam gets is another one.

    Raises:
        ValueError: ``state`` is not the :meth:`Optimiser.state` of such an optimiser for such an image.
    """
    if name == "lbfgs":
        if state:
            raise ValueError("L-BFGS keeps no state")
        return LBFGS(image)
    return Adam(image, state)


def _gradient(loss: Tensor, variable: Tensor) -> Tensor:
    """The gradient of ``loss``. Raises what a node of its graph raises.

    When a node fails, torch leaves the remaining nodes in a queue of this thread. They hold the graph and its
    activations, up to a gigabyte, until the thread's next backward pass. So a minimal one follows at once.
    """
    try:
        (gradient,) = torch.autograd.grad(loss, variable)
    except BaseException:
        one = torch.ones((), requires_grad=True)
        torch.autograd.grad(one.exp(), one)
        raise
    return gradient


class Adam:
    """Adam on the pixels (Kingma and Ba, ICLR 2015) with Nesterov's momentum, clamped to [0, 1].

    Its moments are carried from scale to scale.
    """

    def __init__(self, image: Tensor, state: Mapping[str, Tensor] | None = None) -> None:
        self._take(image)
        self._rate = torch.zeros((), device=image.device)
        self._state: dict[str, Tensor] = {}
        """Empty before :meth:`begin`."""
        if state is not None:
            if {*state} != {"step", *_MOMENTS} or any(
                each.shape != image.shape or each.dtype != image.dtype or not each.isfinite().all()
                for each in (state[name] for name in _MOMENTS)
            ):
                raise ValueError("the state is not Adam's for this image")
            if not state["step"].item() >= 0:
                raise ValueError(f"{state['step'].item()} steps of Adam")
            self._state = {name: each.to(image.device, copy=True) for name, each in state.items()}

    def _take(self, image: Tensor) -> None:
        self.image = image.detach().clone(memory_format=torch.contiguous_format).requires_grad_()

    @torch.no_grad()
    def begin(self, image: Tensor, evaluate: Evaluate, pace: Tensor | None = None) -> None:
        """Take the image, and resize the moments to its size."""
        self._pace = torch.ones((), device=image.device) if pace is None else pace
        if image is not self.image:
            self._take(image)
            size = image.shape[-1], image.shape[-2]
            if self._state:
                first, second = (resampled(self._state[name], size) for name in _MOMENTS)
                self._state |= dict(zip(_MOMENTS, (first, second.clamp(min=0)), strict=True))
        if not self._state:
            zeros = {name: torch.zeros_like(self.image) for name in _MOMENTS}
            self._state = zeros | {"step": torch.zeros((), device=image.device)}
        weights = spectral_filter(self.image, GRADIENT_SPECTRAL_POWER)

        def once() -> Losses:
            with torch.enable_grad():
                losses = evaluate(self.image)
                gradient = _gradient(losses.total, self.image)
            gradient = filtered(gradient, weights).contiguous()
            with torch.no_grad():
                self._move(gradient / gradient.square().mean().sqrt().clamp(min=_TINY))
                self.image.clamp_(0, 1)
            return losses.detached()

        self._once = replayed(once, self._tensors, self.image.device)

    def _move(self, gradient: Tensor) -> None:
        """Take the step of Dozat, "Incorporating Nesterov Momentum into Adam" (ICLR workshop 2016), algorithm 8."""
        first, second, steps = (self._state[name] for name in (*_MOMENTS, "step"))
        steps += 1
        first.lerp_(gradient, 1 - BETAS[0])
        second.lerp_(gradient.square(), 1 - BETAS[1])
        past = BETAS[0] / (1 - BETAS[0] ** (steps + 1))
        present = (1 - BETAS[0]) / (1 - BETAS[0] ** steps)
        deviation = (second / (1 - BETAS[1] ** steps)).sqrt()
        self.image.sub_(self._rate * self._pace * (past * first + present * gradient) / (deviation + ADAM_EPSILON))

    def release(self) -> None:
        """Drop the function that is minimised, and a recorded step."""
        vars(self).pop("_once", None)

    def _tensors(self) -> list[Tensor]:
        return [self.image.detach(), *self._state.values()]

    def step(self, rate: float) -> Losses:
        """Take a step along the preconditioned gradient, and clamp the image to [0, 1]."""
        self._rate.fill_(rate)
        return self._once()

    def state(self) -> dict[str, Tensor]:
        """Both moments, and the number of steps over all scales for the correction of their bias."""
        return {name: each.cpu() for name, each in self._state.items()}


class LBFGS:
    """Limited-memory BFGS (Liu and Nocedal, Mathematical Programming 1989), without a line search.

    Each step takes one evaluation. The history is cleared at each scale, since the curvature changes with it. The
    learning rate is ignored.
    """

    def __init__(self, image: Tensor) -> None:
        self.image = image

    @torch.no_grad()
    def begin(self, image: Tensor, evaluate: Evaluate, pace: Tensor | None = None) -> None:
        """Take the image and clear the history. The pace is ignored, as the learning rate is."""
        self.image = image.detach().contiguous()
        self._evaluate = evaluate
        self._weights = spectral_filter(self.image, IMAGE_SPECTRAL_POWER)
        # torch takes a first step whose absolute values sum to 1 at most.
        self._unit = FIRST_STEP * self.image.numel()
        self._variable = self._as_variable().requires_grad_()
        self._optimiser = torch.optim.LBFGS([self._variable], lr=1, max_iter=1, history_size=HISTORY)

    def release(self) -> None:
        """Drop the function that is minimised, and the history."""
        for name in ("_evaluate", "_weights", "_variable", "_optimiser"):
            vars(self).pop(name, None)

    def _as_variable(self) -> Tensor:
        return filtered(self.image, 1 / self._weights).contiguous() / self._unit

    def _as_image(self) -> Tensor:
        return filtered(self._variable, self._weights) * self._unit

    def step(self, rate: float) -> Losses:
        """Take a quasi-Newton step of length 1, and clamp the image to [0, 1]. Ignores ``rate``."""
        found: list[Losses] = []

        def closure() -> Tensor:
            losses = self._evaluate(self._as_image())
            gradient = _gradient(losses.total, self._variable)
            self._variable.grad = gradient.contiguous()
            found.append(losses)
            return losses.total.detach()

        before = self._variable.detach().clone()
        self._optimiser.step(closure)
        with torch.no_grad():
            # Clamped at each step, so that the loss is always that of a picture which can be shown.
            self.image = self._as_image().clamp(0, 1)
            self._variable.copy_(self._as_variable())
        state = self._optimiser.state[self._variable]
        if "t" in state:
            # The history needs the step that was taken, not the one before the clamp. The gradients would not match
            # that one, and the estimate of the curvature would stay wrong.
            state["d"] = ((self._variable.detach() - before) / state["t"]).flatten()
        (losses,) = found
        return losses.detached()

    def state(self) -> dict[str, Tensor]:
        """Empty: see :class:`engine.painting.checkpoint.Checkpoint`."""
        return {}
