"""Paints the frames of a clip so that strokes move with what they are painted on.

The first frame is painted as a picture. Each later frame starts from the one before, carried along by optical flow, and
takes a few steps that keep what was visible before (Ruder, Dosovitskiy and Brox, "Artistic Style Transfer for Videos",
GCPR 2016). What comes into view is painted coarse to fine. The last frames of a clip that repeats then approach the
first one, and that one the last.
"""

import time
from collections import deque
from collections.abc import Generator
from dataclasses import replace
from functools import cached_property
from statistics import median
from typing import Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from engine.errors import PaintingPaused
from engine.images.animation import Clip, first_frame
from engine.images.animation_encoding import encode_clip_within
from engine.images.codec import Picture, encode, fitted, flattened
from engine.images.colour import Palette, with_colours_of
from engine.images.compose import compose
from engine.painting import loop
from engine.painting.checkpoint import ClipCheckpoint, FinalState, from_bytes, to_bytes, usable
from engine.painting.loop import PREVIEW_QUALITY
from engine.painting.masks import Mask
from engine.painting.memory import out_of_memory
from engine.painting.motion import LaterFrame, carried
from engine.painting.options import RunOptions
from engine.painting.reporter import Interval
from engine.painting.stages import FEWEST_OF_FRAME, Stage, later_steps, stages_of
from engine.painting.strength import style_weight
from engine.painting.targets import Targets
from engine.progress import THUMBNAIL_BYTES, Progress, Result, StopToken
from engine.recipe import Inputs, Recipe
from engine.runtime.devices import Compute
from engine.vgg.vgg19 import VGG19

CUT: Final = 0.35
"""The share of visible pixels below which a frame begins a new shot."""
_OVERHEAD: Final = 4.0
"""The time of the optical flow and of the targets of a frame, in steps. For the first prediction only."""
_PALETTE_SIDE: Final = 64
"""Pixels of the longer side at which the palette of a clip is measured."""


def paint(
    inputs: Inputs[Clip | Picture], recipe: Recipe, network: VGG19, options: RunOptions = RunOptions()
) -> Generator[Progress, None, Result]:
    """Paint a clip.

    The arguments, events and errors are those of :func:`engine.painting.loop.paint`. Previews show the frame that is
    being painted. After a request to pause or to finish, that frame is finished. The frames that are left after a
    request to finish take :data:`engine.painting.stages.FEWEST_OF_FRAME`.

    A picture is painted as one, and so is the first frame if only a part is to be painted. The result of a clip has no
    final state. It is a GIF if that fits into ``options.max_bytes``, else a WebP. Without a limit, it is a lossless
    WebP.
    """
    clip = inputs.content
    if isinstance(clip, Picture) or recipe.where != "everything":
        return (yield from loop.paint(inputs, recipe.model_copy(update={"frames": 1}), network, options))
    with out_of_memory(recipe.size):
        painting = _ClipPainting(clip, inputs.map(first_frame).styles, recipe, network, options)
        return (yield from painting.run())


class _ClipPainting:
    """One run of :func:`paint`."""

    def __init__(
        self, clip: Clip, styles: tuple[Picture, ...], recipe: Recipe, network: VGG19, options: RunOptions
    ) -> None:
        self.clip = clip
        self.styles = styles
        self.ordered = recipe
        self.recipe = recipe.model_copy(update={"frames": 1})
        """The recipe of a frame, with a smaller size once the memory was too small."""
        self.network = network
        self.options = options
        self.stop = options.stop or StopToken()
        self.device = Compute(network.device, network.dtype).name
        small = [self._tensor(picture, _PALETTE_SIDE) for picture in clip.frames]
        self.palette = Palette.blended([Palette.of(each) for each in small], [1.0] * len(small))
        """The palette of all frames together."""
        self.later_steps = later_steps(recipe)
        """Steps of a frame after another one."""
        self.stages = stages_of(clip, recipe)
        """What to do, in this order."""
        self.finished = 0
        """Stages that are finished."""
        self.done = 0
        """Steps of all stages."""
        self.done_before = 0
        """Steps of the stages that are finished."""
        self.losses = (0.0, 0.0, 0.0)
        """The last total, content and style loss."""
        self.painted: list[Tensor] = []
        """The frames so far, shape (1, 3, height, width), uint8."""
        self.hurried = False
        """Whether a stage took fewer steps after a request to finish."""
        self.began = time.monotonic()
        self.step_seconds = deque[float](maxlen=5)
        """The time of a step at the full size in each of the last stages, with its share of what else a stage takes."""
        self.first_step_seconds = 0.0
        """The same without that share, in the first frame."""
        self.progress_due = Interval(options.pace.progress, first=0)
        self.preview_due = Interval(options.pace.preview)
        self.checkpoint_due = Interval(options.pace.checkpoint)

    @property
    def elapsed(self) -> float:
        """Seconds of work, with those before a resumed checkpoint."""
        return time.monotonic() - self.began

    def run(self) -> Generator[Progress, None, Result]:
        """Paint."""
        if not self.recipe.style_weight * style_weight(self.recipe.strength):
            self.painted = [_levels(self._tensor(picture, self.recipe.size)) for picture in self.clip.frames]
            return self._result()
        unfinished = self._resumed()
        begun = self.finished
        while self.finished < len(self.stages):
            if self.stop.pausing and self.finished:
                if self.finished > begun:
                    yield self._report(checkpoint=self._saved())
                raise PaintingPaused
            stage = self.stages[self.finished]
            began, self.done_before = self.elapsed, self.done
            if stage.closes:
                self._close(stage)
            elif stage.frame == 0:
                yield from self._as_picture(stage, unfinished)
            elif stage.steps == 0:
                self.painted.append(self.painted[-1])
            else:
                yield from self._after_another(stage)
            self.finished += 1
            steps = self.done - self.done_before
            self.done_before = self.done
            if stage.frame and steps:
                self.step_seconds.append((self.elapsed - began) / steps)
            last = self.finished == len(self.stages)
            if not last and not self.stop.pausing and self.checkpoint_due.due() and (name := self._saved()):
                yield self._report(checkpoint=name)
        return self._result()

    def _resumed(self) -> bytes | None:
        """Take over the frames of a checkpoint. Returns the checkpoint of the first frame if that is not finished."""
        size, frames = self.clip.frames[0].rgb.size, len(self.clip.frames)
        state = usable(
            self.options.resume,
            ClipCheckpoint,
            lambda state: state.validate(self.ordered, size, frames, len(self.stages)),
        )
        if state is None:
            return None
        self.painted = list(state.frames.split(1)) if len(state.frames) else []
        self.finished, self.done, self.hurried = state.finished, state.steps, state.hurried
        self.recipe = self.recipe.model_copy(update={"size": state.size})
        self.began -= state.elapsed
        return state.first_frame.numpy().tobytes() or None

    def _saved(self, first_frame: bytes = b"") -> str | None:
        if self.options.save is None:
            return None
        none = torch.zeros((0, 3, 1, 1), dtype=torch.uint8)
        return self.options.save(
            to_bytes(
                ClipCheckpoint(
                    recipe=self.ordered.id,
                    size=self.recipe.size,
                    finished=self.finished,
                    steps=self.done,
                    elapsed=self.elapsed,
                    hurried=self.hurried,
                    frames=torch.cat(self.painted) if self.painted else none,
                    first_frame=torch.frombuffer(bytearray(first_frame), dtype=torch.uint8)
                    if first_frame
                    else none.flatten(),
                )
            )
        )

    def _as_picture(self, stage: Stage, resume: bytes | None = None) -> Generator[Progress]:
        """Paint a frame as a picture of its own, and append it."""
        state = b""

        def keep(data: bytes) -> str:
            nonlocal state
            state = data
            return "this state"

        first, before = stage.frame == 0, self.done
        pace = self.options.pace
        painting = loop.paint(
            Inputs(self.clip.frames[stage.frame], self.styles),
            self.recipe,
            self.network,
            RunOptions(
                stop=self.stop,
                pace=replace(pace, checkpoint=pace.checkpoint if self.options.save and first else None),
                resume=resume,
                save=keep,
                observe=self.options.observe,
            ),
            palette=self.palette,
        )
        while True:
            try:
                progress = next(painting)
            except StopIteration as end:
                result: Result = end.value
                break
            self.done = before + progress.step
            if progress.step_seconds:
                self.first_step_seconds = progress.step_seconds * (self.recipe.size / progress.scale) ** 2
            checkpoint = self._saved(state if first else b"") if progress.checkpoint else None
            losses = progress.loss, progress.content_loss, progress.style_loss
            yield self._report(losses, progress.preview, checkpoint, progress)
        self.stages[self.finished] = replace(stage, steps=self.done - before)
        self.hurried = self.hurried or result.ending == "stopped"
        self.recipe = self.recipe.model_copy(update={"size": result.recipe.size})
        self.painted.append(from_bytes(state, FinalState).image)

    def _after_another(self, stage: Stage) -> Generator[Progress]:
        """Paint a frame from the one before it, and append it. A frame of another scene is painted as a picture."""
        moved, seen = self._carried(stage.frame - 1, stage.frame)
        if seen.mean().item() < CUT:
            self.stages[self.finished] = stage = replace(stage, steps=self.recipe.steps)
            yield from self._as_picture(stage)
            return
        picture, check = self.clip.frames[stage.frame], self.stop.check

        def targets(part: Mask | None) -> Targets:
            return Targets(picture, self.styles, self.recipe, self.network, check, part, self.palette)

        image = moved
        for step in LaterFrame(targets, self.recipe, self.network, check).paint(moved, seen, stage.steps):
            self.done += 1
            image = step.image
            hurrying = self.stop.finishing and step.number >= FEWEST_OF_FRAME
            if hurrying or step.number == stage.steps or self.progress_due.due():
                terms = step.losses.terms
                values = step.losses.total.item(), terms["content"].item(), terms["style"].item()
                yield self._report(values, self._preview(image, stage.frame) if self.preview_due.due() else None)
            if hurrying:
                self.hurried = self.hurried or step.number < stage.steps
                break
        self.painted.append(_levels(image))

    def _close(self, stage: Stage) -> None:
        """Blend a frame with the one after it, or the first with the last one, where both show the same."""
        if not self._leads_back:
            return
        other = (stage.frame + (1 if stage.frame else -1)) % len(self.painted)
        moved, seen = self._carried(other, stage.frame)
        self.painted[stage.frame] = _levels(self._shown(stage.frame).lerp(moved, stage.closes * seen))

    @cached_property
    def _leads_back(self) -> bool:
        """Whether the last frame shows much of what the first one shows."""
        _, seen = self._carried(0, len(self.painted) - 1)
        return seen.mean().item() >= CUT

    def _carried(self, other: int, frame: int) -> tuple[Tensor, Tensor]:
        """A painted frame moved to the places of another frame: see :func:`engine.painting.motion.carried`."""
        here, there = (self._tensor(self.clip.frames[each], self.recipe.size) for each in (frame, other))
        moved = carried(self._shown(other), here, there)
        self.stop.check()
        return moved

    def _shown(self, frame: int) -> Tensor:
        """A painted frame, shape (1, 3, height, width), RGB in [0, 1]."""
        return self.painted[frame].to(self.network.device).float() / 255

    def _tensor(self, picture: Picture, size: int) -> Tensor:
        rgb = picture.rgb.resize(fitted(picture.rgb.size, size), Image.Resampling.LANCZOS)
        return torch.from_numpy(np.array(rgb)).to(self.network.device).permute(2, 0, 1)[None].float() / 255

    def _report(
        self,
        losses: tuple[float, float, float] | None = None,
        preview: bytes | None = None,
        checkpoint: str | None = None,
        within: Progress | None = None,
    ) -> Progress:
        """The progress now; ``within`` is that of a frame that is painted as a picture."""
        self.losses = losses or self.losses
        loss, content_loss, style_loss = self.losses
        ahead = self.stages[self.finished + (1 if within else 0) :]
        measured = median(self.step_seconds) if self.step_seconds else 0.0
        seconds = measured or self.first_step_seconds * (1 + _OVERHEAD / self.later_steps)
        most = FEWEST_OF_FRAME if self.stop.finishing else self.recipe.steps
        left = sum(min(stage.steps, most) for stage in ahead)
        if within is None:
            left = max(0, left - (self.done - self.done_before))
        # The blending of a frame takes about as long as a step.
        due = left + sum(bool(stage.closes) for stage in ahead)
        if within and not self.stop.finishing:
            left += within.steps - within.step
        count = len(self.clip.frames)
        return Progress(
            step=max(1, self.done),
            steps=max(1, self.done + left),
            scale=within.scale if within else self.recipe.size,
            loss=loss,
            content_loss=content_loss,
            style_loss=style_loss,
            elapsed=self.elapsed,
            remaining=(within.remaining if within else 0.0) + seconds * due,
            preview=preview,
            checkpoint=checkpoint,
            device=self.device,
            step_seconds=within.step_seconds if within else measured or None,
            frame=min(len(self.painted) + 1, count),
            frames=count,
        )

    def _preview(self, image: Tensor, frame: int) -> bytes:
        return encode(self._picture(image, frame), "jpeg", quality=PREVIEW_QUALITY)

    def _picture(self, image: Tensor, frame: int) -> Image.Image:
        """The picture of a painted frame, in the recipe's colours."""
        if self.recipe.colours == "content":
            image = with_colours_of(image, self._tensor(self.clip.frames[frame], self.recipe.size))
        return Image.fromarray(_levels(image)[0].permute(1, 2, 0).numpy())

    def _result(self) -> Result:
        pictures = list[Picture]()
        for frame, content in enumerate(self.clip.frames):
            if frame and content is self.clip.frames[frame - 1] and self.painted[frame].equal(self.painted[frame - 1]):
                pictures.append(pictures[-1])
                continue
            rgb = self._picture(self._shown(frame), frame)
            pictures.append(Picture(rgb, content.alpha and content.alpha.resize(rgb.size, Image.Resampling.LANCZOS)))
        encoded = encode_clip_within(replace(self.clip, frames=tuple(pictures)), self.options.max_bytes)
        first = pictures[0]
        flat = flattened(first.rgb, first.alpha) if first.alpha else first.rgb
        return Result(
            picture=encoded.data,
            format=encoded.format,
            quality=encoded.quality,
            width=first.width,
            height=first.height,
            recipe=self.ordered.whole.model_copy(update={"size": self.recipe.size}),
            steps=self.done,
            seconds=self.elapsed,
            ending="stopped" if self.hurried else "finished",
            thumbnail=compose("thumbnail", [flat], THUMBNAIL_BYTES),
        )


def _levels(image: Tensor) -> Tensor:
    """An image in [0, 1] with 8 bits, on the CPU."""
    return image.detach().mul(255).round().to(torch.uint8).cpu()
