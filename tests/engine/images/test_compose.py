"""Pictures that are composed of a job's pictures."""

from io import BytesIO

import pytest
from PIL import Image

from engine.images.compose import LAST_FRAME_SECONDS, compose
from engine.images.compositions import Composition
from tests.engine.images import corpus

LIMIT = 10 * 2**20
PHOTO, PAINTING = corpus.scene(1600, 1200), corpus.stripes(512, 384)


def opened(data: bytes) -> Image.Image:
    return Image.open(BytesIO(data))


def frames(count: int) -> list[Image.Image]:
    """A picture that turns into another, step by step, in the size of a preview."""
    end = corpus.scene(768, 576)
    return [Image.blend(PAINTING.resize(end.size), end, number / (count - 1)) for number in range(count)]


def test_a_comparison_has_the_photo_on_the_left_and_the_painting_on_the_right() -> None:
    image = opened(compose("comparison", [PHOTO, PAINTING], LIMIT)).convert("RGB")
    assert image.height == 384
    gap = image.width - 2 * 512
    assert 1 < gap < 10
    for left, whole in ((0, PHOTO.resize((512, 384))), (512 + gap, PAINTING)):
        half = image.crop((left, 0, left + 512, 384)).resize((16, 12))
        expected = whole.resize((16, 12))
        assert max(abs(a - b) for a, b in zip(half.tobytes(), expected.tobytes(), strict=True)) < 12
    assert min(image.crop((512 + gap // 2, 0, 513 + gap // 2, 384)).tobytes()) > 200


@pytest.mark.parametrize(("kind", "side"), [("webp", 512), ("gif", 400)])
def test_a_timelapse_shows_all_frames_and_the_last_one_longer(kind: Composition, side: int) -> None:
    image = opened(compose(kind, frames(20), LIMIT))
    assert (image.format, max(image.size)) == (kind.upper(), side)
    assert image.n_frames == 20  # type: ignore[attr-defined]
    shown = []
    for number in (0, 19):
        image.seek(number)
        image.load()
        shown.append((image.info["duration"], image.convert("RGB").resize((8, 6)).tobytes()))
    assert shown[1][0] == 1000 * LAST_FRAME_SECONDS > 5 * shown[0][0]
    end = frames(2)[-1].resize((8, 6)).tobytes()
    assert max(abs(a - b) for a, b in zip(shown[1][1], end, strict=True)) < 40
    assert shown[0][1] != shown[1][1]


def test_a_composition_becomes_smaller_if_its_file_is_too_large() -> None:
    pictures = frames(6)
    large = compose("webp", pictures, LIMIT)
    small = compose("webp", pictures, len(large) - 1)
    assert len(small) < len(large)
    assert opened(small).size < opened(large).size
    assert max(opened(compose("thumbnail", [PHOTO], LIMIT)).size) == 320
