"""The optimisation loop: from a content and styles to a painting, telling how it goes."""

import logging
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from statistics import median

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.functional import pil_to_tensor, to_pil_image

from engine.checkpoint import Checkpoint
from engine.colour import with_colours_of
from engine.devices import Compute
from engine.errors import OutOfMemory, PaintingPaused
from engine.losses import Objective, blended, gram_matrix, target
from engine.pictures import Picture, encode, encode_within, fitted
from engine.progress import Progress, Result, Stop
from engine.recipe import Layer, Recipe
from engine.schedule import Scale, learning_rate, scales, style_factor
from engine.vgg19 import VGG19

log = logging.getLogger(__name__)

Save = Callable[[bytes], str | None]
"""Keeps the bytes of a checkpoint and gives the name that they are found by; None where they could not be kept."""

BETAS = (0.8, 0.95)
"""Of Adam. Shorter memories than the usual 0.9 and 0.999 reach a lower loss in so few steps."""
PREVIEW_QUALITY = 85


@dataclass(frozen=True, slots=True)
class Pace:
    """How often, in seconds, a painting tells what; None for never."""

    progress: float = 0.25
    preview: float | None = 2.0
    first_preview: float = 1.0
    checkpoint: float | None = 10.0
    """Only where there is something to save with."""


class _Due:
    """Says when the next of a kind of event is due."""

    def __init__(self, interval: float | None, first: float | None = None) -> None:
        self._interval = interval
        self._next = time.monotonic() + (interval or 0 if first is None else first)

    def __call__(self) -> bool:
        if self._interval is None or time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + self._interval
        return True


def paint(
    content: Picture,
    styles: Sequence[Picture],
    recipe: Recipe,
    network: VGG19,
    stop: Stop | None = None,
    *,
    pace: Pace = Pace(),
    resume: bytes | None = None,
    save: Save | None = None,
    max_bytes: int | None = None,
) -> Generator[Progress, None, Result]:
    """Paint ``content`` in the manner of ``styles``, coarse to fine, by Adam on the pixels.

    Args:
        content: decoded content; its alpha, if it has one, is the result's.
        styles: at least one; ``recipe.style_shares`` weighs them.
        recipe: everything else that determines the picture.
        network: VGG19, on the device and in the precision to use.
        stop: ends the painting from outside.
        pace: how often to yield what.
        resume: a checkpoint of this same painting. One that can't be used is logged, and the painting begins anew.
        save: keeps checkpoints, under the names that :class:`Progress` tells. Where it can't, the painting goes on.
        max_bytes: of the encoded result; a picture over it becomes a JPEG.

    Yields:
        :class:`Progress`, the first after the first step, the last after the last. None where the style has no weight:
        then the content is the result at once.

    Returns:
        The :class:`Result`.

    Raises:
        PaintingCancelled: ``stop`` was cancelled.
        PaintingPaused: ``stop`` was told to pause. The last progress has a checkpoint of the last step, unless there
            was no step yet, or ``save`` could not keep it.
        OutOfMemory: the device has too little memory for ``recipe.size``.
    """
    try:
        painting = _Painting(content, styles, recipe, network, stop or Stop(), pace, save)
        return (yield from painting.run(resume, max_bytes))
    except torch.OutOfMemoryError as error:
        raise OutOfMemory(recipe.size) from error
    except MemoryError as error:
        raise OutOfMemory(recipe.size) from error
    except RuntimeError as error:  # the CPU's allocator has no exception class of its own
        if "allocate memory" in str(error) or "could not create a memory" in str(error):
            raise OutOfMemory(recipe.size) from error
        raise


class _Painting:
    """One run of :func:`paint`."""

    def __init__(
        self,
        content: Picture,
        styles: Sequence[Picture],
        recipe: Recipe,
        network: VGG19,
        stop: Stop,
        pace: Pace,
        save: Save | None,
    ) -> None:
        self.content = content
        self.styles = styles
        self.recipe = recipe
        self.network = network
        self.stop = stop
        self.pace = pace
        self.save = save
        self.device = Compute(network.device, network.dtype).name
        self.scales = scales(recipe.size, recipe.steps)
        self.style_weight = recipe.style_weight * style_factor(recipe.strength)
        self.final_size = fitted(content.rgb.size, recipe.size)
        self.seconds_a_pixel: deque[float] = deque(maxlen=9)
        self.step_seconds: deque[float] = deque(maxlen=9)
        """Of the scale that is worked on."""
        self.began = time.monotonic()

    def run(self, resume: bytes | None, max_bytes: int | None) -> Generator[Progress, None, Result]:
        if not self.style_weight:
            return self._result(self._tensor(self.content, self.final_size), 0, max_bytes)
        checkpoint = None if resume is None else self._usable(resume)
        if checkpoint:
            self.began -= checkpoint.elapsed
        image = self._first_image() if checkpoint is None else checkpoint.image.to(self.network.device)
        adam = _Adam(image, checkpoint)
        done = sum(scale.steps for scale in self.scales[: checkpoint.scale]) + checkpoint.step if checkpoint else 0
        progress, preview, saving = (
            _Due(self.pace.progress, first=0),
            _Due(self.pace.preview, self.pace.first_preview),
            _Due(self.pace.checkpoint),
        )
        begun_with = done
        for index, scale in enumerate(self.scales):
            if checkpoint and index < checkpoint.scale:
                continue
            adam.resize(fitted(self.content.rgb.size, scale.size))
            objective = self._objective(scale)
            first = checkpoint.step if checkpoint and index == checkpoint.scale else 0
            self.step_seconds.clear()
            measured, since = first, time.monotonic()
            for step in range(first, scale.steps):
                if self.stop.pausing and done == begun_with:
                    raise PaintingPaused
                losses = objective(self.network.features(adam.image, objective.layers, self.stop.check))
                losses.total.backward()
                adam.step(learning_rate(step, scale.steps))
                done += 1
                last = done == self.recipe.steps or self.stop.finishing
                pausing = self.stop.pausing and not last
                if last or pausing or progress():
                    self.stop.check()
                    told = losses.total.item(), losses.content.item(), losses.style.item()
                    # A GPU works behind our back: only now, with numbers in hand, is it known how long it took.
                    self._measured((time.monotonic() - since) / (step + 1 - measured), adam.image)
                    saved = self._saved(adam, index, step + 1) if pausing or (saving() and not last) else None
                    shown = encode(self._picture(adam.image), "jpeg", quality=PREVIEW_QUALITY) if preview() else None
                    yield self._progress(done, scale, told, shown, saved)
                    measured, since = step + 1, time.monotonic()
                if pausing:
                    raise PaintingPaused
                if self.stop.finishing:
                    break
            if self.stop.finishing:
                break
        return self._result(adam.image, done, max_bytes)

    def _usable(self, resume: bytes) -> Checkpoint | None:
        try:
            checkpoint = Checkpoint.from_bytes(resume)
            self._check(checkpoint)
        except MemoryError:
            raise
        except Exception as error:  # torch.load raises whatever its unpickler or its zip reader does
            log.warning("a checkpoint can't be used, the painting begins anew: %s: %s", type(error).__name__, error)
            return None
        return checkpoint

    def _check(self, checkpoint: Checkpoint) -> None:
        """Raise whatever for a checkpoint that is not of this painting."""
        if not 0 <= checkpoint.scale < len(self.scales):
            raise ValueError(f"scale {checkpoint.scale} of {len(self.scales)}")
        scale = self.scales[checkpoint.scale]
        if not 0 < checkpoint.step <= scale.steps:
            raise ValueError(f"step {checkpoint.step} of {scale.steps}")
        if not (checkpoint.elapsed >= 0 and checkpoint.adam_step >= 0):
            raise ValueError(f"{checkpoint.elapsed} s, {checkpoint.adam_step} steps of Adam")
        width, height = fitted(self.content.rgb.size, scale.size)
        for tensor in (checkpoint.image, checkpoint.first_moment, checkpoint.second_moment):
            if tensor.shape != (1, 3, height, width) or tensor.dtype != torch.float32 or not tensor.isfinite().all():
                raise ValueError(f"a tensor of {tuple(tensor.shape)} for {width} × {height} px")

    def _saved(self, adam: "_Adam", scale: int, step: int) -> str | None:
        return self.save(adam.checkpoint(scale, step, self._elapsed())) if self.save else None

    def _measured(self, step_seconds: float, image: Tensor) -> None:
        self.step_seconds.append(step_seconds)
        self.seconds_a_pixel.append(step_seconds / image[0, 0].numel())

    def _first_image(self) -> Tensor:
        image = self._tensor(self.content, fitted(self.content.rgb.size, self.scales[0].size))
        generator = torch.Generator().manual_seed(self.recipe.seed)
        noise = torch.randn(image.shape, generator=generator).to(image)
        return (image + self.recipe.noise * noise).clamp(0, 1)

    @torch.no_grad()
    def _objective(self, scale: Scale) -> Objective:
        recipe = self.recipe
        content = self._features(self.content, scale)
        styles = [self._features(style, scale) for style in self.styles]
        shares = recipe.style_shares or [1.0] * len(styles)
        grams = blended([{layer: gram_matrix(each[layer]) for layer in recipe.style_layers} for each in styles], shares)
        return Objective(
            content={
                layer: target(content[layer].float(), styles[0][layer].float()) for layer in recipe.content_layers
            },
            style={layer: target(grams[layer], gram_matrix(content[layer])) for layer in recipe.style_layers},
            content_layers=recipe.content_layers,
            style_layers=recipe.style_layers,
            content_weight=recipe.content_weight,
            style_weight=self.style_weight * scale.style_factor,
        )

    def _features(self, picture: Picture, scale: Scale) -> dict[Layer, Tensor]:
        layers = {*self.recipe.content_layers, *self.recipe.style_layers}
        image = self._tensor(picture, fitted(picture.rgb.size, scale.size))
        return self.network.features(image, layers, self.stop.check)

    def _tensor(self, picture: Picture, size: tuple[int, int]) -> Tensor:
        pixels: Tensor = pil_to_tensor(picture.rgb.resize(size, Image.Resampling.LANCZOS)).to(self.network.device)
        return pixels[None].float() / 255

    def _elapsed(self) -> float:
        return time.monotonic() - self.began

    def _remaining(self, done: int) -> float:
        if not self.seconds_a_pixel:
            return 0.0
        width, height = self.final_size
        ahead, before = 0.0, 0
        for scale in self.scales:
            steps = max(0, scale.steps - max(0, done - before))
            before += scale.steps
            # Each scale begins with a pass over content and styles: about the time of one step.
            begins = 1 if steps == scale.steps else 0
            ahead += (steps + begins) * width * height * (scale.size / self.recipe.size) ** 2
        return ahead * median(self.seconds_a_pixel)

    def _progress(
        self,
        done: int,
        scale: Scale,
        losses: tuple[float, float, float],
        preview: bytes | None,
        checkpoint: str | None,
    ) -> Progress:
        loss, content_loss, style_loss = losses
        return Progress(
            step=done,
            steps=self.recipe.steps,
            scale=scale.size,
            loss=loss,
            content_loss=content_loss,
            style_loss=style_loss,
            elapsed=self._elapsed(),
            remaining=self._remaining(done),
            preview=preview,
            checkpoint=checkpoint,
            device=self.device,
            step_seconds=median(self.step_seconds),
        )

    @torch.no_grad()
    def _picture(self, image: Tensor) -> Image.Image:
        width, height = self.final_size
        if image.shape[-2:] != (height, width):
            image = F.interpolate(image, (height, width), mode="bicubic").clamp(0, 1)
        if self.recipe.colours == "content":
            image = with_colours_of(image, self._tensor(self.content, self.final_size))
        picture: Image.Image = to_pil_image(image.detach()[0].cpu())
        return picture

    def _result(self, image: Tensor, steps: int, max_bytes: int | None) -> Result:
        picture = self._picture(image)
        alpha = self.content.alpha and self.content.alpha.resize(self.final_size, Image.Resampling.LANCZOS)
        data, format = encode_within(picture, max_bytes, alpha=alpha)
        return Result(
            picture=data,
            format=format,
            width=picture.width,
            height=picture.height,
            recipe=self.recipe,
            steps=steps,
            seconds=self._elapsed(),
            ending="stopped" if self.stop.finishing and steps < self.recipe.steps else "finished",
        )


class _Adam:
    """Adam on the pixels (Kingma and Ba, ICLR 2015), clamped to [0, 1], its moments carried from scale to scale."""

    def __init__(self, image: Tensor, checkpoint: Checkpoint | None) -> None:
        self._begin(image)
        if checkpoint:
            self.optimizer.state[self.image] = {
                "step": torch.tensor(checkpoint.adam_step),
                "exp_avg": checkpoint.first_moment.to(image),
                "exp_avg_sq": checkpoint.second_moment.to(image),
            }

    def _begin(self, image: Tensor) -> None:
        self.image = image.requires_grad_()
        self.optimizer = torch.optim.Adam([self.image], betas=BETAS)

    @torch.no_grad()
    def resize(self, size: tuple[int, int]) -> None:
        """Bring image and moments to ``size`` (width, height)."""
        shape = (size[1], size[0])
        if self.image.shape[-2:] == shape:
            return
        state = self.optimizer.state[self.image]
        self._begin(F.interpolate(self.image, shape, mode="bicubic").clamp(0, 1))
        self.optimizer.state[self.image] = {
            "step": state["step"],
            "exp_avg": F.interpolate(state["exp_avg"], shape, mode="bilinear"),
            "exp_avg_sq": F.interpolate(state["exp_avg_sq"], shape, mode="bilinear"),
        }

    def step(self, rate: float) -> None:
        """Go down the gradient that ``image`` has, and forget it."""
        self.optimizer.param_groups[0]["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad()
        with torch.no_grad():
            self.image.clamp_(0, 1)

    def checkpoint(self, scale: int, step: int, elapsed: float) -> bytes:
        state = self.optimizer.state[self.image]
        return Checkpoint(
            scale=scale,
            step=step,
            adam_step=state["step"].item(),
            elapsed=elapsed,
            image=self.image.detach().cpu(),
            first_moment=state["exp_avg"].cpu(),
            second_moment=state["exp_avg_sq"].cpu(),
        ).to_bytes()
