"""Style transfer by optimisation (Gatys, Ecker and Bethge, CVPR 2016), coarse to fine."""

import gc
import logging
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

import torch
from PIL import Image
from torch import Tensor

from engine.errors import OutOfMemory, PaintingPaused
from engine.images.animation import Clip, first_frame
from engine.images.codec import Picture, encode, fitted, flattened
from engine.images.colour import Palette, with_colours_of
from engine.images.compose import compose
from engine.images.encoding import encode_within
from engine.images.resampling import enlarged, resized
from engine.losses.objective import Losses, Objective
from engine.optim.optimisers import optimiser
from engine.painting.checkpoint import Checkpoint, FinalState, to_bytes, usable
from engine.painting.masks import find
from engine.painting.memory import out_of_memory, shrunk, smaller_size
from engine.painting.options import RunOptions
from engine.painting.pooling_shift import PoolingShift
from engine.painting.pyramid import LEARNING_RATE, SCHEDULES, Scale, learning_rate
from engine.painting.reporter import Reporter
from engine.painting.strength import first_learning_rate, kept_share
from engine.painting.targets import Targets
from engine.progress import THUMBNAIL_BYTES, Progress, Result, StepLosses, StopToken
from engine.recipe import Inputs, Recipe
from engine.runtime.devices import Compute
from engine.runtime.malloc import trim
from engine.vgg.vgg19 import VGG19

log = logging.getLogger(__name__)

PREVIEW_QUALITY = 98
"""Of the JPEG, from 0 to 100. With less, the borders of its blocks show in smooth places of an early preview."""
SETTLING = 10
"""The number of steps over which a painting is checked for change."""
RECOMPUTED = 1_200_000
"""The number of pixels from which activations are recomputed for the gradient instead of kept, to save memory."""


def paint(
    inputs: Inputs[Clip | Picture],
    recipe: Recipe,
    network: VGG19,
    options: RunOptions = RunOptions(),
    *,
    palette: Palette | None = None,
) -> Generator[Progress, None, Result]:
    """Paint the content in the style of the styles, by gradient descent on the pixels.

    Where the device has too little memory for a scale, the painting goes on at a smaller size. Where even the size of
    the scale before no longer fits, the painting ends with the picture of that scale.

    Args:
        inputs: decoded. Of a clip, the first frame is painted. ``recipe.style_shares`` weighs the styles. The result
            has the alpha channel of the content.
        recipe: everything else that determines the picture.
        network: VGG19, on the device and in the precision to use.
        options: how it runs.
        palette: of the clip that the content is a frame of; by default the content's own.

    Yields:
        :class:`Progress`, the first after the first step, the last after the last step. None where the style has no
        weight: then the result is the content.

    Returns:
        The :class:`Result`.

    Raises:
        PaintingCancelled: ``options.stop`` was cancelled.
        PaintingPaused: ``options.stop`` was paused. The last progress has a checkpoint of the last step, unless there
            was no step yet, or ``options.save`` failed.
        OutOfMemory: the device has too little memory for a first step at any size.
    """
    with out_of_memory(recipe.size):
        painting = _Painting(inputs.map(first_frame), recipe, network, options, palette)
        return (yield from painting.run())


class _Painting:
    """One run of :func:`paint`."""

    def __init__(
        self, inputs: Inputs[Picture], recipe: Recipe, network: VGG19, options: RunOptions, palette: Palette | None
    ) -> None:
        self.content = inputs.content
        shown = [picture.shown for picture in inputs]
        self.shown = () if shown.count(None) == len(shown) else tuple(shown)
        self.mask = find(inputs.content, inputs.mask, recipe)
        self.not_found = self.mask is None and recipe.where != "everything"
        self.options = options
        self.stop = options.stop or StopToken()
        self.targets = Targets(inputs.content, inputs.styles, recipe, network, self.stop.check, self.mask, palette)
        self.ordered = recipe
        self.recipe = recipe
        """As ordered, with a smaller size once the memory was too small."""
        self.network = network
        self.device = Compute(network.device, network.dtype).name
        self.reporter = Reporter(options.pace)
        self.continued = 0
        """The size of the final state that the painting starts from; 0 for the recipe's own start."""
        self.start: Tensor | None = None
        """The image of that state at the final size, mixed with the content: see :func:`kept_share`."""
        self.schedule = SCHEDULES[recipe.method]
        self.bands = (0.0, 0.0) if recipe.start == "noise" else self.schedule.bands
        """See :attr:`engine.painting.pyramid.Schedule.bands`. Noise has no detail of the content."""
        self.scales = self.schedule.scales(recipe.size, recipe.steps, 0, recipe.strength)
        self.shift = PoolingShift(network.device)
        self.done = 0
        """Steps over all scales."""
        self.settled = False

    @property
    def steps(self) -> int:
        """Steps of all scales."""
        return sum(scale.steps for scale in self.scales)

    @property
    def final_size(self) -> tuple[int, int]:
        return fitted(self.content.rgb.size, self.recipe.size)

    def run(self) -> Generator[Progress, None, Result]:
        if not self.targets.style_weight:
            return self._result(self.targets.content_at(self.recipe.size))
        size = self.content.rgb.size
        checkpoint = usable(self.options.resume, Checkpoint, lambda state: state.validate(self.recipe, size))
        start = usable(self.options.final_state, FinalState, lambda state: state.validate(size))
        index, step = self._start(checkpoint, start)
        self.first_step = self.done
        while index < len(self.scales):
            try:
                with out_of_memory(self.scales[index].size):
                    yield from self._at_scale(index, step)
            except OutOfMemory:
                smaller = smaller_size(self.scales, index)
                if smaller is None and not self.done:
                    raise
            else:
                if self.settled or self.stop.finishing:
                    break
                index, step = index + 1, 0
                continue
            # The exception is gone here, so only reference cycles still hold the tensors of the failed step.
            gc.collect()
            trim()
            if smaller is None:
                log.warning("too little memory to go on at %s px, the painting ends", self.recipe.size)
                break
            step = self.done - sum(scale.steps for scale in self.scales[:index])
            self._shrink(index, smaller)
        image = self._enlarged(self.recipe.size, self.bands[1]).detach()
        return self._result(image, FinalState.of(self.recipe, image))

    def _start(self, state: Checkpoint | None, start: FinalState | None) -> tuple[int, int]:
        """Prepare the optimiser. Returns the index of the first scale and its number of steps that are done."""
        if start is not None and (state is None or state.continued):
            self.continued = start.size
            content = self.targets.content_at(self.recipe.size)
            image = resized(start.image.to(content.device).float() / 255, self.final_size)
            recipe = self.recipe
            share = kept_share((start.strength, recipe.strength), (start.stroke, recipe.stroke))
            self.start = content.lerp(image, share)
        if state is not None:
            self.continued = state.continued
        self.scales = self.schedule.scales(self.recipe.size, self.recipe.steps, self.continued, self.recipe.strength)
        if state is None:
            first = self.targets.content_at(self.scales[0].size) if self.start is None else self.start
            self.optimiser = optimiser(self.recipe.optimiser, first)
            return 0, 0
        image = state.image.to(self.network.device)
        if state.size < self.recipe.size:
            self._shrink(state.scale, state.size)
        self.reporter.resume(state.elapsed)
        self.done = sum(scale.steps for scale in self.scales[: state.scale]) + state.step
        self.before = state.before.to(self.network.device)
        self.optimiser = optimiser(self.recipe.optimiser, image, state.state)
        return state.scale, state.step

    def _at_scale(self, index: int, first: int) -> Generator[Progress]:
        """Take the steps of one scale from ``first`` on."""
        scale = self.scales[index]
        self.optimiser.release()
        objective = self.targets.objective(scale)
        finest = index == len(self.scales) - 1
        if not self.done and not self.continued:
            image = self.targets.first_image(scale.size, objective.learning_rate_factor)
            self.optimiser = optimiser(self.recipe.optimiser, image)
        size = fitted(self.content.rgb.size, scale.size)
        image = self._enlarged(scale.size, self.bands[0])
        blend = self.targets.blend(scale.size)
        self.optimiser.begin(image, lambda image: self._losses(objective, blend(image)))
        if first == 0 or self.before.shape != self.optimiser.image.shape:
            self.before = self.optimiser.image.detach().clone()
        first_rate = self._first_learning_rate()
        self.reporter.begin_scale(first)
        for step in range(first, scale.steps):
            if self.stop.pausing and self.done == self.first_step:
                raise PaintingPaused
            self.shift.begin_step(step)
            if self.recipe.optimiser != "lbfgs":  # the history of L-BFGS needs the same objective at each step
                self.targets.places.begin_step(self.done)
            rate = objective.learning_rate_factor * learning_rate(step, scale.steps, first_rate)
            losses = self.optimiser.step(rate)
            self.done += 1
            if self.options.observe is not None:
                self.options.observe(StepLosses(self.done, scale.size, losses.layer_values()))
            if (step + 1) % SETTLING == 0:
                self.settled = finest and self._unchanged()
            last = self.settled or self.stop.finishing or (finest and step + 1 == scale.steps)
            pausing = self.stop.pausing and not last
            if last or pausing or self.reporter.progress.due():
                self.stop.check()
                values = losses.total.item(), losses.terms["content"].item(), losses.terms["style"].item()
                # A GPU computes asynchronously. Its time is known only now, as these values wait for it.
                self.reporter.end_steps(step + 1, size[0] * size[1])
                saving = pausing or (self.reporter.checkpoint.due() and not last)
                checkpoint = self._saved(self._checkpoint(index, step + 1)) if saving and self.options.save else None
                preview = self._preview() if self.reporter.preview.due() else None
                yield self._progress(scale, values, preview, checkpoint, last=last)
                self.reporter.begin_steps(step + 1)
            if pausing:
                raise PaintingPaused
            if last or self.stop.finishing:
                break

    def _first_learning_rate(self) -> float:
        """Noise is far from any target, whatever the strength."""
        if self.recipe.start == "noise" and not self.continued:
            return LEARNING_RATE[0]
        return self.schedule.learning_rate_factor * first_learning_rate(self.recipe.strength)

    @torch.no_grad()
    def _enlarged(self, size: int, share: float) -> Tensor:
        """The present image with a longer side of ``size`` pixels, and with this share of the first image's detail.

        A painting that continues another one keeps all detail of that one.
        """
        image, then = self.optimiser.image, fitted(self.content.rgb.size, size)
        if (image.shape[-1], image.shape[-2]) == then:
            return image
        if self.start is None and not share:
            return resized(image.detach(), then)
        start, share = (self._first_image, share) if self.start is None else (self.start, 1.0)
        return enlarged(image.detach(), start, then, share)

    @cached_property
    def _first_image(self) -> Tensor:
        """The image that the recipe starts from, without noise, at the ordered size."""
        return self.targets.start_at(self.ordered.size)

    def _losses(self, objective: Objective, image: Tensor) -> Losses:
        shifted = self.shift(image) if self.recipe.optimiser != "lbfgs" else image
        recompute = image[0, 0].numel() >= RECOMPUTED
        features = self.network.features(
            shifted, objective.layers, self.stop.check, pooling=self.recipe.pooling, recompute=recompute
        )
        return objective(features, image)

    def _unchanged(self) -> bool:
        """Whether the image changed by less than the recipe's tolerance since the last call."""
        image = self.optimiser.image.detach()
        tolerance = self.recipe.tolerance / 255
        unchanged = bool(tolerance) and (image - self.before).abs().mean().item() < tolerance
        self.before.copy_(image)
        return unchanged

    def _shrink(self, index: int, size: int) -> None:
        """Make the scale at ``index`` the last one, at ``size``."""
        log.warning("too little memory for %s px, painting goes on at %s px", self.recipe.size, size)
        self.scales = shrunk(self.scales, index, size)
        self.recipe = self.recipe.model_copy(update={"size": size})

    def _checkpoint(self, scale: int, step: int) -> Checkpoint:
        return Checkpoint(
            recipe=self.ordered.id,
            continued=self.continued,
            size=self.recipe.size,
            scale=scale,
            step=step,
            elapsed=self.reporter.elapsed,
            image=self.optimiser.image.detach().cpu(),
            before=self.before.cpu(),
            state=self.optimiser.state(),
        )

    def _saved(self, state: Checkpoint | FinalState) -> str | None:
        return self.options.save(to_bytes(state)) if self.options.save else None

    def _progress(
        self,
        scale: Scale,
        losses: tuple[float, float, float],
        preview: bytes | None,
        checkpoint: str | None,
        *,
        last: bool,
    ) -> Progress:
        loss, content_loss, style_loss = losses
        width, height = self.final_size
        return Progress(
            step=self.done,
            steps=self.steps,
            scale=scale.size,
            loss=loss,
            content_loss=content_loss,
            style_loss=style_loss,
            elapsed=self.reporter.elapsed,
            remaining=0 if last else self.reporter.remaining(self.scales, self.done, width * height),
            preview=preview,
            checkpoint=checkpoint,
            mask=self._shown_mask(),
            not_found=self.not_found,
            device=self.device,
            step_seconds=self.reporter.step_seconds,
        )

    def _preview(self) -> bytes:
        image = self._enlarged(self.recipe.size, self.bands[1])
        return encode(self._picture(image.detach()), "jpeg", quality=PREVIEW_QUALITY)

    def _shown_mask(self) -> bytes | None:
        """The mask over the photo, for the first progress of a painting from its start."""
        if self.mask is None or self.done > 1:
            return None
        photo = self.content.rgb.resize(self.final_size, Image.Resampling.LANCZOS)
        tinted = self.mask.tinted(photo, rest=not self.targets.keeps_photo)
        return encode(tinted, "jpeg", quality=PREVIEW_QUALITY)

    @torch.no_grad()
    def _picture(self, image: Tensor) -> Image.Image:
        """The picture of an image of the final size, in the recipe's colours."""
        if self.recipe.colours == "content":
            image = with_colours_of(image, self.targets.content_at(self.recipe.size))
        image = self.targets.blend(self.recipe.size)(image)
        return Image.fromarray(image[0].mul(255).round().byte().permute(1, 2, 0).cpu().numpy())

    def _result(self, image: Tensor, state: FinalState | None = None) -> Result:
        picture = self._picture(image)
        alpha = self.content.alpha and self.content.alpha.resize(self.final_size, Image.Resampling.LANCZOS)
        flat = picture if alpha is None else flattened(picture, alpha)
        with ThreadPoolExecutor(1) as aside:  # an encoder takes one core
            checkpoint = aside.submit(self._saved, state) if state else None
            thumbnail = aside.submit(compose, "thumbnail", [flat], THUMBNAIL_BYTES)
            encoded = encode_within(picture, self.options.max_bytes, alpha=alpha)
        return Result(
            picture=encoded.data,
            format=encoded.format,
            quality=encoded.quality,
            width=picture.width,
            height=picture.height,
            recipe=self.recipe if self.continued else self.recipe.whole,
            steps=self.done,
            seconds=self.reporter.elapsed,
            ending="settled" if self.settled else "stopped" if 0 < self.done < self.steps else "finished",
            shown=self.shown,
            not_found=self.not_found,
            checkpoint=checkpoint.result() if checkpoint else None,
            thumbnail=thumbnail.result(),
        )
