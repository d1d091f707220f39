"""The optimisation loop: from a content and styles to a painting, telling how it goes."""

import time
from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from statistics import median

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.functional import pil_to_tensor, to_pil_image

from engine.checkpoint import Checkpoint
from engine.colour import with_colours_of
from engine.errors import OutOfMemory
from engine.losses import Losses, Objective, blended, gram_matrix, target
from engine.pictures import Picture, encode, encode_within, fitted
from engine.progress import Progress, Result, Stop
from engine.recipe import Layer, Recipe
from engine.schedule import Scale, learning_rate, scales, style_factor
from engine.vgg19 import VGG19

BETAS = (0.8, 0.95)
"""Of Adam. Shorter memories than the usual 0.9 and 0.999 reach a lower loss in so few steps."""
PREVIEW_QUALITY = 85


@dataclass(frozen=True, slots=True)
class Pace:
    """How often, in seconds, a painting tells what; None for never."""

    progress: float = 0.25
    preview: float | None = 2.0
    first_preview: float = 1.0
    checkpoint: float | None = None


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
        resume: a checkpoint of this same painting.
        max_bytes: of the encoded result; a picture over it becomes a JPEG.

    Yields:
        :class:`Progress`, the first after the first step, the last after the last. None where the style has no weight:
        then the content is the result at once.

    Returns:
        The :class:`Result`.

    Raises:
        PaintingCancelled: ``stop`` was cancelled.
        OutOfMemory: the device has too little memory for ``recipe.size``.
    """
    try:
        return (yield from _Painting(content, styles, recipe, network, stop or Stop(), pace).run(resume, max_bytes))
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
    ) -> None:
        self.content = content
        self.styles = styles
        self.recipe = recipe
        self.network = network
        self.stop = stop
        self.pace = pace
        self.scales = scales(recipe.size, recipe.steps)
        self.style_weight = recipe.style_weight * style_factor(recipe.strength)
        self.final_size = fitted(content.rgb.size, recipe.size)
        self.seconds_a_pixel: deque[float] = deque(maxlen=9)
        self.began = time.monotonic()

    def run(self, resume: bytes | None, max_bytes: int | None) -> Generator[Progress, None, Result]:
        if not self.style_weight:
            return self._result(self._tensor(self.content, self.final_size), 0, max_bytes)
        checkpoint = Checkpoint.from_bytes(resume) if resume else None
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
        for index, scale in enumerate(self.scales):
            if checkpoint and index < checkpoint.scale:
                continue
            adam.resize(fitted(self.content.rgb.size, scale.size))
            objective = self._objective(scale)
            first = checkpoint.step if checkpoint and index == checkpoint.scale else 0
            for step in range(first, scale.steps):
                started = time.monotonic()
                losses = objective(self.network.features(adam.image, objective.layers, self.stop.check))
                losses.total.backward()
                adam.step(learning_rate(step, scale.steps))
                done += 1
                self.seconds_a_pixel.append((time.monotonic() - started) / adam.image[0, 0].numel())
                last = done == self.recipe.steps or self.stop.finishing
                if last or progress():
                    self.stop.check()
                    saved = adam.checkpoint(index, step + 1, self._elapsed()) if saving() and not last else None
                    shown = encode(self._picture(adam.image), "jpeg", quality=PREVIEW_QUALITY) if preview() else None
                    yield self._progress(done, scale, losses, shown, saved)
                if self.stop.finishing:
                    break
            if self.stop.finishing:
                break
        return self._result(adam.image, done, max_bytes)

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
        self, done: int, scale: Scale, losses: Losses, preview: bytes | None, checkpoint: bytes | None
    ) -> Progress:
        return Progress(
            step=done,
            steps=self.recipe.steps,
            scale=scale.size,
            loss=losses.total.item(),
            content_loss=losses.content.item(),
            style_loss=losses.style.item(),
            elapsed=self._elapsed(),
            remaining=self._remaining(done),
            preview=preview,
            checkpoint=checkpoint,
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
