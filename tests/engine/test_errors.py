"""Every error of the hierarchy can be sent from a worker process to the bot."""

import copy
import inspect
import pickle
from collections.abc import Iterator

import cloudpickle  # type: ignore[import-untyped]
import pytest

from engine.errors import AtelierError


def hierarchy(base: type[AtelierError] = AtelierError) -> Iterator[type[AtelierError]]:
    """``base`` and all of its subclasses in the engine."""
    yield base
    for each in base.__subclasses__():
        if each.__module__ == "engine.errors":
            yield from hierarchy(each)


def example(kind: type[AtelierError]) -> AtelierError:
    """An error with a different value in each field."""
    if "__init__" not in vars(kind):
        return kind("a sentence")
    fields = list(inspect.signature(kind).parameters)
    return kind(*(f"value {field}" for field in fields))


@pytest.mark.parametrize("kind", list(hierarchy()))
@pytest.mark.parametrize("module", [pickle, cloudpickle, copy])
def test_an_error_keeps_its_fields_when_it_is_pickled_or_copied(kind: type[AtelierError], module: object) -> None:
    error = example(kind)
    arrived = copy.copy(error) if module is copy else pickle.loads(module.dumps(error))  # type: ignore[attr-defined]
    assert type(arrived) is kind
    assert vars(arrived) == vars(error)
    assert arrived.args == error.args
    assert str(arrived) == str(error)


@pytest.mark.parametrize("kind", list(hierarchy()))
def test_each_argument_of_an_error_is_a_field(kind: type[AtelierError]) -> None:
    fields = inspect.signature(kind.__init__).parameters if "__init__" in vars(kind) else {}
    error = example(kind)
    assert vars(error) == {field: f"value {field}" for field in fields if field != "self"}


def test_the_hierarchy_includes_subclasses_of_subclasses() -> None:
    names = {kind.__name__ for kind in hierarchy()}
    assert {"AtelierError", "PictureError", "PictureTooLarge", "WorkerLost", "WeightsUnavailable"} <= names
