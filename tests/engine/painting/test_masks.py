"""Which part of a photo is painted, and what happens to the rest."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from engine.images.codec import Picture, decode
from engine.painting import masks
from engine.painting.masks import Mask, find
from engine.recipe import Recipe, Where
from engine.vgg.vgg19 import VGG19
from tests.engine.images import corpus
from tests.engine.painted import ALL, levels, painted, saved_after, shown, tensor

ASTRONAUT = decode((Path(__file__).parents[1] / "segmentation" / "astronaut.jpg").read_bytes())
PHOTO = Picture(corpus.scene(96, 64))
PLAIN = Picture(Image.new("RGB", (96, 96), "orange"))
LEFT = Image.new("L", (40, 40))
ImageDraw.Draw(LEFT).rectangle((0, 0, 19, 39), 255)
HALF = Picture(LEFT.convert("RGB"))
"""White on its left half."""


def mask(where: Where, content: Picture = ASTRONAUT, given: Picture | None = None, spread: float = 0) -> Mask | None:
    return find(content, given, Recipe(size=256, where=where, spread=spread))


def cover(where: Where, spread: float = 0) -> np.ndarray:
    found = mask(where, spread=spread)
    assert found is not None
    return found.cover[0, 0].numpy()


def test_the_parts_of_a_portrait(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("saliency", "faces"):  # each network runs once
        found = getattr(masks, name)(tensor(ASTRONAUT.rgb))
        monkeypatch.setattr(masks, name, lambda _, found=found: found)
    subject, background, faces, others = (cover(each) for each in ("subject", "background", "faces", "not-faces"))
    helmet, flag, rocket, face = (230, 180), (100, 10), (80, 200), (62, 113)
    assert [subject[each] for each in (helmet, face)] == [1, 1]
    assert [subject[each] for each in (flag, rocket)] == [0, 0]
    assert [faces[each] for each in (face, helmet, flag)] == [1, 0, 0]
    assert np.abs(subject + background - 1).max() < 1e-6
    assert np.abs(faces + others - 1).max() < 1e-6
    for part in ("subject", "background", "not-faces"):
        shares = [cover(part, spread).mean() for spread in (-3, 0, 3)]
        assert shares == sorted(shares)
        assert shares[0] < shares[2]


def test_what_is_not_there_is_not_found() -> None:
    gray = Picture(Image.new("RGB", (128, 96), "grey"))
    assert [mask(where, gray, PLAIN) for where in ("everything", "subject", "faces", "not-faces", "opaque")] == [
        None
    ] * 5
    assert mask("not-mask", gray, Picture(Image.new("RGB", (9, 9), "white"))) is None
    assert mask("mask", gray, None) is None


def test_a_mask_picture_shows_its_white_parts_or_those_that_are_not_transparent() -> None:
    drawn = Picture(Image.new("RGB", (40, 40), "red"), LEFT)
    for given in (HALF, drawn):
        found, rest = mask("mask", given=given), mask("not-mask", given=given)
        assert found is not None
        assert rest is not None
        assert found.cover[0, 0, 128, [10, 110, 132, 250]].tolist() == [1, 1, 0, 0]
        assert rest.cover[0, 0, 128, [10, 123, 150, 250]].tolist() == [0, 0, 1, 1]
    line = Picture(Image.new("RGB", (256, 256)))
    ImageDraw.Draw(line.rgb).line((0, 128, 255, 128), "white")
    assert mask("mask", given=line) is not None  # thinner than the soft edge


@pytest.mark.parametrize(
    "fields", [{}, {"method": "neighbours"}, {"method": "instant"}, {"colours": "content"}, {"optimiser": "lbfgs"}]
)
def test_what_is_not_painted_stays_the_photo_to_the_pixel(narrow: VGG19, fields: dict[str, Any]) -> None:
    end = painted(narrow, PHOTO, mask=HALF, where="mask", strength=100, pace=ALL, **fields)
    change = np.abs(end.pixels - levels(shown(PHOTO))).max(axis=-1)
    assert change[:, 33:].max() == 0
    assert change[:, :28].mean() > 3
    assert end.events[0].mask is not None
    assert all(event.mask is None for event in end.events[1:])
    assert not end.result.not_found


def test_where_nothing_is_found_everything_is_painted(narrow: VGG19) -> None:
    end, plain = painted(narrow, PLAIN, where="faces"), painted(narrow, PLAIN)
    assert (end.result.not_found, plain.result.not_found) == (True, False)
    assert np.array_equal(end.pixels, plain.pixels)
    assert end.events[0].mask is None


def test_two_styles_share_a_picture(network: VGG19) -> None:
    blue, red = (
        Picture(Image.merge("RGB", [Image.effect_noise((96, 64), 60).point(lambda v, s=s: int(v * s)) for s in scales]))
        for scales in ((0.3, 0.4, 1.2), (1.2, 0.3, 0.3))
    )
    end = painted(network, PHOTO, [blue, red], mask=HALF, where="mask", rest="style", strength=90, steps=8)
    assert end.events[0].mask is not None
    tinted, photo = levels(decode(end.events[0].mask).rgb), levels(shown(PHOTO))
    pink, blue = ((tinted - photo)[:, part].mean(axis=(0, 1)) for part in (slice(0, 24), slice(40, 64)))
    assert pink[0] > pink[1]
    assert blue[2] > blue[0]
    left, right = end.pixels[:, :24].mean(axis=(0, 1)), end.pixels[:, 40:].mean(axis=(0, 1))
    assert left[2] > left[0] + 20
    assert right[0] > right[2] + 20


def test_a_masked_painting_resumes_to_the_same_bytes(narrow: VGG19) -> None:
    recipe = Recipe(size=64, steps=12, where="not-faces", spread=2)
    saved = saved_after(5, narrow, recipe, ASTRONAUT)
    whole = painted(narrow, ASTRONAUT, where="not-faces", spread=2)
    resumed = painted(narrow, ASTRONAUT, where="not-faces", spread=2, resume=saved)
    assert resumed.result.picture == whole.result.picture
    assert len(resumed.events) == 7
    assert all(event.mask is None for event in resumed.events)


def test_a_recipe_without_a_part_keeps_its_id() -> None:
    assert Recipe().id == Recipe(spread=3).id == "6bc6abe0"  # fields of a part that are unset are not in it
    assert len({Recipe(where=where).id for where in ("everything", "subject", "background")}) == 3
    assert Recipe(where="subject", spread=2).id != Recipe(where="subject").id
    with pytest.raises(ValueError, match="set where"):
        Recipe(rest="style")
