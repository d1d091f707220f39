"""Pictures as tensors, and back."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def tensor_of(picture: Image.Image, size: tuple[int, int] | None = None) -> Tensor:
    """A picture in mode ``RGB``, at ``size`` (width, height): shape (1, 3, height, width), float32 in [0, 1]."""
    if size is not None and size != picture.size:
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255


def picture_of(image: Tensor) -> Image.Image:
    """The reverse of :func:`tensor_of`, without a change of the size."""
    return Image.fromarray(image[0].mul(255).round().byte().permute(1, 2, 0).cpu().numpy())
