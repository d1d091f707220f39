"""Both networks against stored outputs of the original runtimes, which ``convert.py --compare … --save …`` writes.

``astronaut.jpg`` is NASA's portrait of Eileen Collins, in the public domain.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from engine.segmentation import blazeface, u2net
from engine.segmentation.blazeface import faces
from engine.segmentation.u2net import saliency

HERE = Path(__file__).parent
PHOTO = Image.open(HERE / "astronaut.jpg").convert("RGB")


def tensor(picture: Image.Image) -> torch.Tensor:
    """RGB in [0, 1], shape (1, 3, height, width)."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255


@torch.inference_mode()
def test_the_networks_give_what_the_original_runtimes_give() -> None:
    stored = np.load(HERE / "reference.npz")
    small = tensor(PHOTO.resize((u2net.SIDE, u2net.SIDE)))
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (u2net._MEAN, u2net._STD))
    found = u2net._network(torch.float32)((small / small.max() - mean) / std)[0, 0, ::8, ::8].numpy()
    assert np.abs(found - stored["saliency"]).max() < 1e-3
    assert np.abs(saliency(small)[0, 0, ::8, ::8].numpy() - stored["saliency"]).mean() < 0.01

    boxes, logits = blazeface._network()(tensor(PHOTO.resize((blazeface.SIDE, blazeface.SIDE))) * 2 - 1)
    best = stored["best"]
    assert np.abs(logits[0].sigmoid().numpy()[best] - stored["scores"]).max() < 1e-3
    assert np.abs(boxes[0].numpy()[best, :4] - stored["boxes"]).max() / blazeface.SIDE < 1e-3


def test_the_subject_is_the_astronaut_and_not_the_flag() -> None:
    found = saliency(tensor(PHOTO))[0, 0]
    assert found[100:250, 120:200].mean() > 0.9
    assert found[20:150, :30].mean() < 0.1


@pytest.mark.parametrize("width", [1.0, 2.5])
def test_a_face_is_found_wherever_it_is(width: float) -> None:
    wide = Image.new("RGB", (round(256 * width), 256), "grey")
    wide.paste(PHOTO, (wide.width - 256, 0))
    [face] = faces(tensor(wide))
    middle = (face.left + face.right) / 2 * wide.width - (wide.width - 256), (face.top + face.bottom) / 2 * 256
    assert middle == pytest.approx((113, 62), abs=12)
    assert 35 < (face.right - face.left) * wide.width < 70
    assert not faces(torch.full((1, 3, 64, 300), 0.5))
