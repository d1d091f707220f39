"""Validation of every body that the bot sends: a form knows its fields and refuses all others by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, ValidationError

from bot.sandbox.protocol.errors import ApiError, InvalidForm, NotUnderstood, Place, invalid

_TAG = "component type "

KNOWN_COMPONENT_TYPES = frozenset({1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 17, 18, 19})
"""The component types that exist here. One of these in a wrong place is the bot's mistake, not a missing feature."""

_CODES = {
    "missing": "BASE_TYPE_REQUIRED",
    "string_too_long": "BASE_TYPE_MAX_LENGTH",
    "string_too_short": "BASE_TYPE_BAD_LENGTH",
    "string_pattern_mismatch": "STRING_TYPE_REGEX",
    "string_type": "STRING_TYPE_CONVERT",
    "int_type": "NUMBER_TYPE_COERCE",
    "float_type": "NUMBER_TYPE_COERCE",
    "bool_type": "BOOLEAN_TYPE_CONVERT",
    "greater_than_equal": "NUMBER_TYPE_MIN",
    "less_than_equal": "NUMBER_TYPE_MAX",
    "literal_error": "BASE_TYPE_CHOICES",
    "list_type": "LIST_TYPE_CONVERT",
    "too_long": "BASE_TYPE_BAD_LENGTH",
    "too_short": "BASE_TYPE_BAD_LENGTH",
    "model_type": "MODEL_TYPE_CONVERT",
    "dict_type": "DICT_TYPE_CONVERT",
    "union_tag_invalid": "UNION_TYPE_CHOICES",
    "union_tag_not_found": "BASE_TYPE_REQUIRED",
}


class Form(BaseModel):
    """A JSON object of the bot's with known fields. Discord ignores unknown ones; here they are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _snowflake(value: object) -> object:
    """Discord accepts identifiers as strings and as numbers; discord.py sends both."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


Snowflake = Annotated[int, BeforeValidator(_snowflake), Field(ge=0, lt=1 << 64)]
FormType = TypeVar("FormType", bound=Form)


def component_tag(value: object) -> str:
    """The tag by which a union of components chooses: prefixed, so that it can be told from a key in an error."""
    kind = value.get("type") if isinstance(value, Mapping) else getattr(value, "type", None)
    return f"{_TAG}{kind}"


by_type = Discriminator(component_tag)


def tag(kind: int) -> str:
    """The tag of one type of component."""
    return f"{_TAG}{kind}"


def read_form(form: type[FormType], body: object, place: Place = ()) -> FormType:
    """The body as a form.

    Raises:
        InvalidForm: a field is wrong.
        NotUnderstood: a field, or a type of component, is not known here.
    """
    try:
        return form.model_validate(body)
    except ValidationError as error:
        raise _explained(error, place) from None


def read_list(form: type[FormType], body: object, maximum: int) -> list[FormType]:
    """The body as a list of forms, no more than `maximum`.

    Raises:
        InvalidForm: a field is wrong.
        NotUnderstood: a field is not known here.
    """
    if not isinstance(body, list):
        raise invalid((), "LIST_TYPE_CONVERT", "Must be a list.")
    if len(body) > maximum:
        raise invalid((), "BASE_TYPE_BAD_LENGTH", f"Must be {maximum} or fewer in length.")
    return [read_form(form, item, (index,)) for index, item in enumerate(body)]


def _explained(error: ValidationError, place: Place) -> ApiError:
    problems: list[tuple[Place, str, str]] = []
    for detail in error.errors(include_url=False):
        where = place + tuple(key for key in detail["loc"] if not (isinstance(key, str) and key.startswith(_TAG)))
        kind = detail["type"]
        named = ".".join(map(str, where))
        if kind in {"extra_forbidden", "none_required"}:
            return NotUnderstood(f"the field {named}")
        if kind == "union_tag_invalid" and _number(detail["ctx"]) not in KNOWN_COMPONENT_TYPES:
            return NotUnderstood(f"the {detail['ctx']['tag']} at {named}")
        problems.append((where, _CODES.get(kind, "BASE_TYPE_CHOICES"), detail["msg"]))
    return InvalidForm(problems)


def _number(context: Mapping[str, Any]) -> int | None:
    text = str(context["tag"]).removeprefix(_TAG)
    return int(text) if text.isdecimal() else None
