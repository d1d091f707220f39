"""What a recipe accepts, and what its JSON contains."""

import json
import string
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from engine.recipe import LARGEST_SIZE, SMALLEST_SIZE, Layer, Recipe

weights = st.floats(0, 1e6, exclude_min=True)
layers = st.dictionaries(st.sampled_from(get_args(Layer)), weights, min_size=1)
recipes = st.builds(
    Recipe,
    size=st.integers(SMALLEST_SIZE, LARGEST_SIZE),
    steps=st.integers(1, 10_000),
    optimiser=st.sampled_from(["adam", "gauss-newton", "lbfgs"]),
    start=st.sampled_from(["content", "matched", "noise"]),
    tolerance=st.floats(0, 255),
    strength=st.floats(0, 100),
    detail=st.floats(0, 100),
    stroke=st.floats(0.25, 4),
    content_weight=st.floats(0, 1e6),
    style_weight=st.floats(0, 1e6),
    content_layers=layers,
    style_layers=layers,
    balance=st.sampled_from(["fixed", "dynamic"]),
    style_shares=st.lists(weights, max_size=5).map(tuple),
    colours=st.sampled_from(["style", "matched", "content"]),
    total_variation=st.floats(0, 1e6),
    pooling=st.sampled_from(["max", "average"]),
    noise=st.floats(0, 1),
    seed=st.integers(0, 2**63 - 1),
    precision=st.sampled_from(["auto", "float32", "bfloat16"]),
)


@given(recipes)
def test_a_recipe_is_unchanged_by_json(recipe: Recipe) -> None:
    back = Recipe.model_validate_json(recipe.model_dump_json())
    assert back == recipe
    assert back.id == recipe.id


@given(recipes)
def test_the_id_of_a_recipe_has_eight_hexadecimal_digits(recipe: Recipe) -> None:
    assert len(recipe.id) == 8
    assert set(recipe.id) <= set(string.hexdigits.lower())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("size", 513),
        ("steps", 121),
        ("optimiser", "lbfgs"),
        ("start", "content"),
        ("start", "noise"),
        ("tolerance", 0.5),
        ("strength", 50.5),
        ("detail", 0.5),
        ("stroke", 1.5),
        ("content_weight", 1.5),
        ("style_weight", 1.5),
        ("content_layers", {"relu4_2": 2.0}),
        ("style_layers", {"relu1_1": 1.0}),
        ("style_layers", {"conv1_1": 1.0}),
        ("balance", "dynamic"),
        ("style_shares", (1.0, 2.0)),
        ("colours", "content"),
        ("colours", "matched"),
        ("total_variation", 0.5),
        ("pooling", "average"),
        ("noise", 0.04),
        ("seed", 1),
        ("precision", "float32"),
        ("continues", "5" * 64),
    ],
)
def test_each_field_changes_the_id(field: str, value: object) -> None:
    assert Recipe.model_validate({field: value}).id != Recipe().id


def test_the_test_of_ids_covers_each_field() -> None:
    told = {mark.args[1][index][0] for mark in _marks() for index in range(len(mark.args[1]))}
    parts = [Recipe(where="subject"), Recipe(where="subject", spread=1), Recipe(where="subject", rest="style")]
    assert len({each.id for each in (Recipe(size=256), Recipe(size=256, frames=2), *parts)}) == 5
    assert told | {"version", "method", "frames", "where", "spread", "rest"} == set(Recipe.model_fields)


def _marks() -> list[pytest.Mark]:
    marks: list[pytest.Mark] = test_each_field_changes_the_id.pytestmark  # type: ignore[attr-defined]
    return marks


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("size", SMALLEST_SIZE - 1),
        ("size", LARGEST_SIZE + 1),
        ("size", 100.5),
        ("steps", 0),
        ("steps", 10_001),
        ("optimiser", "sgd"),
        ("start", "style"),
        ("tolerance", -0.1),
        ("tolerance", float("inf")),
        ("strength", -0.1),
        ("strength", 100.1),
        ("strength", float("nan")),
        ("detail", -0.1),
        ("detail", 100.1),
        ("stroke", 0.24),
        ("stroke", 4.1),
        ("content_weight", -1),
        ("content_weight", float("inf")),
        ("style_weight", float("nan")),
        ("content_layers", {}),
        ("content_layers", {"relu4_2": 0}),
        ("content_layers", {"relu4_2": -1}),
        ("content_layers", {"relu6_1": 1}),
        ("content_layers", {"conv4_5": 1}),
        ("content_layers", {"pool4": 1}),
        ("style_layers", {}),
        ("style_layers", {"relu1_1": 0, "relu2_1": 0}),
        ("style_layers", {"relu1_1": "much"}),
        ("style_layers", {"conv1_1": -1}),
        ("balance", "free"),
        ("style_shares", [0, 0]),
        ("style_shares", [1, -1]),
        ("colours", "both"),
        ("total_variation", -1),
        ("total_variation", float("nan")),
        ("pooling", "min"),
        ("frames", 0),
        ("frames", 49),
        ("frames", 2),
        ("noise", 1.1),
        ("noise", -0.1),
        ("seed", -1),
        ("seed", 2**63),
        ("precision", "float16"),
        ("version", 10),
        ("version", 0),
        ("method", "magic"),
        ("colour", "style"),
    ],
)
def test_the_error_for_an_invalid_value_names_its_field(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as refused:
        Recipe.model_validate({field: value})
    (problem,) = refused.value.errors()
    assert field in problem["loc"] or field in problem["msg"]


def test_a_recipe_cannot_be_changed() -> None:
    recipe = Recipe()
    with pytest.raises(ValidationError):
        recipe.size = 64  # type: ignore[misc]
    assert recipe.size == Recipe().size


def test_recipes_do_not_share_their_default_layers() -> None:
    mine: Any = Recipe().style_layers
    mine["relu1_1"] = 99.0
    assert Recipe().style_layers["relu1_1"] == 1.0


def test_missing_fields_have_their_defaults() -> None:
    recipe = Recipe.model_validate_json(json.dumps({"size": 256, "style_shares": [1, 3]}))
    assert recipe == Recipe(size=256, style_shares=(1.0, 3.0))


# --- Older versions ---

FIRST = """{"version": 1, "method": "gatys", "size": 256, "steps": 60, "strength": 70.0, "content_weight": 1.0,
"style_weight": 2.0, "content_layers": {"relu4_2": 1.0}, "style_layers": {"relu1_1": 1.0, "relu2_1": 0.5},
"style_shares": [1.0, 3.0], "colours": "content", "noise": 0.03, "seed": 5, "precision": "auto"}"""
"""A recipe as version 1 wrote it."""


def test_a_recipe_of_version_1_becomes_one_of_the_current_version() -> None:
    recipe = Recipe.model_validate_json(FIRST)
    assert recipe == Recipe(
        size=256,
        steps=60,
        strength=70,
        style_weight=2,
        style_layers={"relu1_1": 1, "relu2_1": 0.5},
        style_shares=(1, 3),
        colours="content",
        noise=0.03,
        seed=5,
    )
    assert recipe.version == Recipe().version == 9


def test_a_recipe_of_version_2_becomes_one_of_the_current_version() -> None:
    fields = Recipe(size=256, detail=20, stroke=2).model_dump(mode="json") | {"version": 2}
    assert Recipe.model_validate_json(json.dumps(fields)) == Recipe(size=256, detail=20, stroke=2)


def test_json_without_an_object_is_refused() -> None:
    for data in ("[1]", "1", "null", '"version"'):
        with pytest.raises(ValidationError):
            Recipe.model_validate_json(data)


@given(recipes)
def test_json_names_the_current_version(recipe: Recipe) -> None:
    assert json.loads(recipe.model_dump_json())["version"] == 9
