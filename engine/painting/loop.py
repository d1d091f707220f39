"""The optimisation loop: from a content and styles to a painting, telling how it goes."""

import gc
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from statistics import median

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import to_pil_image

from engine.errors import OutOfMemory, PaintingPaused
from engine.images.codec import Picture, encode, encode_within, fitted
from engine.images.colour import with_colours_of
from engine.losses.objective import Losses, Objective
from engine.optim.optimisers import optimiser, resized
from engine.painting.checkpoint import Checkpoint
from engine.painting.pyramid import LEARNING_RATE, Scale, learning_rate, scales
from engine.painting.strength import first_learning_rate
from engine.painting.targets import Targets
from engine.progress import Progress, Result, StopToken
from engine.recipe import SMALLEST_SIZE, Recipe
from engine.runtime.devices import Compute
from engine.runtime.malloc import trim
from engine.vgg.vgg19 import VGG19

log = logging.getLogger(__name__)

Save = Callable[[bytes], str | None]
"""Keeps the bytes of a checkpoint and gives the name that they are found by; None where they could not be kept."""

PREVIEW_QUALITY = 85
_NO_MEMORY = ("allocate memory", "could not create a memory", "could not create a primitive")
"""What torch's allocator says, and oneDNN, for its blocks and for the code that it writes for a convolution."""
SETTLING = 10
"""Steps over which a picture is looked at to see whether it still changes."""
RECOMPUTED = 1_200_000
"""Pixels from which a step keeps fewer activations and computes them again: there, memory matters more than time."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often, in seconds, a painting tells what; None for never."""

    progress: float = 0.25
    preview: float | None = 2.0
    first_preview: float = 0.7
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
    stop: StopToken | None = None,
    *,
    pace: Pace = Pace(),
    resume: bytes | None = None,
    save: Save | None = None,
    max_bytes: int | None = None,
) -> Generator[Progress, None, Result]:
    """Paint ``content`` in the manner of ``styles``, coarse to fine, by gradient descent on the pixels.

    Where the device has too little memory for a scale, the painting goes on at a smaller size. Where it has too little
    even for the size of the scale before, which did fit, the painting ends with the picture of that scale.

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
        OutOfMemory: the device has too little memory for a first step at any size.
    """
    with _short_of_memory(recipe.size):
        painting = _Painting(content, styles, recipe, network, stop or StopToken(), pace, save)
        return (yield from painting.run(resume, max_bytes))


@contextmanager
def _short_of_memory(size: int) -> Iterator[None]:
    """Turn whatever an allocator raises into :class:`OutOfMemory`."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise OutOfMemory(size) from error
    except RuntimeError as error:  # the CPU's allocators have no exception class of their own
        if any(words in str(error) for words in _NO_MEMORY):
            raise OutOfMemory(size) from error
        raise


class _Painting:
    """One run of :func:`paint`."""

    def __init__(
        self,
        content: Picture,
        styles: Sequence[Picture],
        recipe: Recipe,
        network: VGG19,
        stop: StopToken,
        pace: Pace,
        save: Save | None,
    ) -> None:
        self.content = content
        shown = [picture.shown for picture in (content, *styles)]
        self.shown = () if shown.count(None) == len(shown) else tuple(shown)
        self.targets = Targets(content, styles, recipe, network, stop.check)
        self.recipe = recipe
        self.network = network
        self.stop = stop
        self.pace = pace
        self.save = save
        self.device = Compute(network.device, network.dtype).name
        self.scales = scales(recipe.size, recipe.steps)
        self.final_size = fitted(content.rgb.size, recipe.size)
        # From noise the way is long, whatever the strength.
        self.first_rate = LEARNING_RATE[0] if recipe.start == "noise" else first_learning_rate(recipe.strength)
        self.seconds_a_pixel: deque[float] = deque(maxlen=9)
        self.step_seconds: deque[float] = deque(maxlen=9)
        """Of the scale that is worked on."""
        self.done = 0
        """Steps over all scales."""
        self.settled = False
        self.began = time.monotonic()
        self.told_due = _Due(pace.progress, first=0)
        self.preview_due = _Due(pace.preview, pace.first_preview)
        self.saving_due = _Due(pace.checkpoint)

    def run(self, resume: bytes | None, max_bytes: int | None) -> Generator[Progress, None, Result]:
        if not self.targets.style_weight:
            return self._result(self.targets.content_at(self.recipe.size), max_bytes)
        checkpoint = None if resume is None else self._usable(resume)
        if checkpoint:
            if checkpoint.size < self.recipe.size:
                self._shrink_to(checkpoint.size, checkpoint.scale)
            self.began -= checkpoint.elapsed
            self.done = sum(scale.steps for scale in self.scales[: checkpoint.scale]) + checkpoint.step
            self.before = checkpoint.before.to(self.network.device)
            image = checkpoint.image.to(self.network.device)
            self.optimiser = optimiser(self.recipe.optimiser, image, checkpoint.state)
        else:
            self.optimiser = optimiser(self.recipe.optimiser, self.targets.content_at(self.scales[0].size))
        self.begun_with = self.done
        index, step = (checkpoint.scale, checkpoint.step) if checkpoint else (0, 0)
        while index < len(self.scales):
            try:
                with _short_of_memory(self.scales[index].size):
                    yield from self._at_scale(index, step)
            except OutOfMemory:
                smaller = self._smaller_than(index)
                if smaller is None and not self.done:
                    raise
            else:
                if self.settled or self.stop.finishing:
                    break
                index, step = index + 1, 0
                continue
            # Here, where the exception is gone: at most reference cycles hold the tensors of the failed step.
            gc.collect()
            trim()
            if smaller is None:
                log.warning("too little memory to go on at %s px, the painting ends", self.recipe.size)
                break
            step = self.done - sum(scale.steps for scale in self.scales[:index])
            self._shrink_to(smaller, index)
        return self._result(self.optimiser.image, max_bytes)

    def _at_scale(self, index: int, first: int) -> Generator[Progress]:
        """Take the steps of one scale from ``first`` on."""
        scale = self.scales[index]
        self.optimiser.rest()
        objective = self.targets.objective(scale)
        finest = index == len(self.scales) - 1
        if not self.done:
            image = self.targets.first_image(scale.size, objective.learning_rate_factor)
            self.optimiser = optimiser(self.recipe.optimiser, image)
        size = fitted(self.content.rgb.size, scale.size)
        self.optimiser.begin(size, lambda image: self._losses(objective, image))
        if first == 0 or self.before.shape != self.optimiser.image.shape:
            self.before = self.optimiser.image.detach().clone()
        self.step_seconds.clear()
        measured, since = first, time.monotonic()
        for step in range(first, scale.steps):
            if self.stop.pausing and self.done == self.begun_with:
                raise PaintingPaused
            losses = self.optimiser.step(
                objective.learning_rate_factor * learning_rate(step, scale.steps, self.first_rate)
            )
            self.done += 1
            if (step + 1) % SETTLING == 0:
                self.settled = finest and self._unchanged()
            last = self.settled or self.stop.finishing or (finest and step + 1 == scale.steps)
            pausing = self.stop.pausing and not last
            if last or pausing or self.told_due():
                self.stop.check()
                told = losses.total.item(), losses.terms["content"].item(), losses.terms["style"].item()
                # A GPU works behind our back: only now, with numbers in hand, is it known how long it took.
                self._measured((time.monotonic() - since) / (step + 1 - measured), size)
                saving = pausing or (self.saving_due() and not last)
                saved = self._saved(index, step + 1) if saving else None
                shown = self._preview() if self.preview_due() else None
                yield self._progress(scale, told, shown, saved, remaining=0 if last else self._remaining())
                measured, since = step + 1, time.monotonic()
            if pausing:
                raise PaintingPaused
            if last or self.stop.finishing:
                break

    def _losses(self, objective: Objective, image: Tensor) -> Losses:
        many = image[0, 0].numel() >= RECOMPUTED
        features = self.network.features(
            image, objective.layers, self.stop.check, pooling=self.recipe.pooling, recompute=many
        )
        return objective(features, image)

    def _unchanged(self) -> bool:
        """Whether the picture is about what it was when this was asked last."""
        image = self.optimiser.image.detach()
        tolerance = self.recipe.tolerance / 255
        unchanged = bool(tolerance) and (image - self.before).abs().mean().item() < tolerance
        self.before.copy_(image)
        return unchanged

    def _smaller_than(self, index: int) -> int | None:
        """Half of the pixels of a scale that did not fit, or what the scale before had, if that is more.

        None where that is no less than what did not fit.
        """
        before = self.scales[index - 1].size if index else SMALLEST_SIZE
        smaller = max(before, round(self.scales[index].size / math.sqrt(2)))
        return smaller if smaller < self.scales[index].size else None

    def _shrink_to(self, size: int, index: int) -> None:
        """Let the scale of that index be the last, at ``size``, with all steps that are left."""
        log.warning("too little memory for %s px, painting goes on at %s px", self.recipe.size, size)
        steps = sum(scale.steps for scale in self.scales[index:])
        self.scales = (*self.scales[:index], replace(self.scales[index], size=size, steps=steps, style_factor=1.0))
        self.recipe = self.recipe.model_copy(update={"size": size})
        self.final_size = fitted(self.content.rgb.size, size)

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
        if not SMALLEST_SIZE <= checkpoint.size <= self.recipe.size:
            raise ValueError(f"{checkpoint.size} px of {self.recipe.size}")
        shrunk = checkpoint.size < self.recipe.size
        size = checkpoint.size if shrunk else self.scales[checkpoint.scale].size
        ahead = self.scales[checkpoint.scale :] if shrunk else self.scales[checkpoint.scale : checkpoint.scale + 1]
        if not 0 < checkpoint.step <= sum(scale.steps for scale in ahead):
            raise ValueError(f"step {checkpoint.step} of a scale")
        if not checkpoint.elapsed >= 0:
            raise ValueError(f"{checkpoint.elapsed} s")
        width, height = fitted(self.content.rgb.size, size)
        for tensor in (checkpoint.image, checkpoint.before):
            if tensor.shape != (1, 3, height, width) or tensor.dtype != torch.float32 or not tensor.isfinite().all():
                raise ValueError(f"a tensor of {tuple(tensor.shape)} for {width} × {height} px")
        optimiser(self.recipe.optimiser, checkpoint.image, dict(checkpoint.state))

    def _saved(self, scale: int, step: int) -> str | None:
        if not self.save:
            return None
        checkpoint = Checkpoint(
            size=self.recipe.size,
            scale=scale,
            step=step,
            elapsed=self._elapsed(),
            image=self.optimiser.image.detach().cpu(),
            before=self.before.cpu(),
            state=self.optimiser.state(),
        )
        return self.save(checkpoint.to_bytes())

    def _measured(self, step_seconds: float, size: tuple[int, int]) -> None:
        self.step_seconds.append(step_seconds)
        self.seconds_a_pixel.append(step_seconds / (size[0] * size[1]))

    def _elapsed(self) -> float:
        return time.monotonic() - self.began

    def _remaining(self) -> float:
        if not self.seconds_a_pixel:
            return 0.0
        width, height = self.final_size
        ahead, before = 0.0, 0
        for scale in self.scales:
            steps = max(0, scale.steps - max(0, self.done - before))
            before += scale.steps
            # Each scale begins with a pass over content and styles: about the time of one step.
            begins = 1 if steps == scale.steps else 0
            ahead += (steps + begins) * width * height * (scale.size / self.recipe.size) ** 2
        return ahead * median(self.seconds_a_pixel)

    def _progress(
        self,
        scale: Scale,
        losses: tuple[float, float, float],
        preview: bytes | None,
        checkpoint: str | None,
        remaining: float,
    ) -> Progress:
        loss, content_loss, style_loss = losses
        return Progress(
            step=self.done,
            steps=self.recipe.steps,
            scale=scale.size,
            loss=loss,
            content_loss=content_loss,
            style_loss=style_loss,
            elapsed=self._elapsed(),
            remaining=remaining,
            preview=preview,
            checkpoint=checkpoint,
            device=self.device,
            step_seconds=median(self.step_seconds),
        )

    def _preview(self) -> bytes:
        return encode(self._picture(self.optimiser.image), "jpeg", quality=PREVIEW_QUALITY)

    @torch.no_grad()
    def _picture(self, image: Tensor) -> Image.Image:
        image = resized(image.detach(), self.final_size).clamp(0, 1)
        if self.recipe.colours == "content":
            image = with_colours_of(image, self.targets.content_at(self.recipe.size))
        picture: Image.Image = to_pil_image(image[0].cpu())
        return picture

    def _result(self, image: Tensor, max_bytes: int | None) -> Result:
        picture = self._picture(image)
        alpha = self.content.alpha and self.content.alpha.resize(self.final_size, Image.Resampling.LANCZOS)
        data, format = encode_within(picture, max_bytes, alpha=alpha)
        return Result(
            picture=data,
            format=format,
            width=picture.width,
            height=picture.height,
            recipe=self.recipe,
            steps=self.done,
            seconds=self._elapsed(),
            ending="settled" if self.settled else "stopped" if 0 < self.done < self.recipe.steps else "finished",
            shown=self.shown,
        )
