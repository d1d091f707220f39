"""A recipe's method chooses the function that paints it."""

from collections.abc import Generator
from typing import Any, cast, get_args

import pytest

from engine import texts
from engine.errors import UnknownMethod
from engine.painting import loop
from engine.painting.methods import METHODS, method
from engine.progress import Progress, Result
from engine.recipe import Method, Recipe


def test_each_method_of_a_recipe_has_a_function() -> None:
    assert METHODS.keys() == set(get_args(Method))


def test_the_default_method_is_gatys() -> None:
    assert method(Recipe()) is loop.paint


def test_another_method_calls_another_function(monkeypatch: pytest.MonkeyPatch) -> None:
    def painting(*_: Any) -> Generator[Progress, None, Result]:
        raise NotImplementedError

    monkeypatch.setitem(cast(dict[str, Any], METHODS), "strotss", painting)
    assert method(Recipe().model_copy(update={"method": "strotss"})) is painting


def test_an_unknown_method_is_an_error_that_names_it() -> None:
    """A validated recipe has none, but a worker can receive one that was not validated."""
    with pytest.raises(UnknownMethod) as raised:
        method(Recipe().model_copy(update={"method": "strotss"}))
    assert (
        texts.explain(raised.value)
        == "This version of Atelier has no method strotss. It has: gatys, neighbours, instant."
    )
