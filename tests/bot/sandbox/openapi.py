"""Measures what the bot sent with Discord's own OpenAPI document."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from bot.sandbox import RestRequest

_DOCUMENT = "urn:discord"


def violations(request: RestRequest, spec: dict[str, Any]) -> list[str]:
    """What is wrong with a request by Discord's OpenAPI 3.1 document: method, route, query and body; empty if nothing.

    Identifiers may be numbers: the document wants strings, Discord takes both, and discord.py sends numbers.
    """
    path = spec["paths"].get(request.route)
    if path is None:
        return [f"no route {request.route}"]
    operation = path.get(request.method.lower())
    if operation is None:
        return [f"{request.route} takes no {request.method}"]
    parameters = {
        (parameter["in"], parameter["name"]): parameter
        for parameter in [*path.get("parameters", []), *operation.get("parameters", [])]
    }
    registry = _registry(_Identity(spec))
    return [
        *_path_violations(request, parameters, registry),
        *_query_violations(request, parameters, registry),
        *_body_violations(request, operation, registry),
    ]


def answer_violations(route: str, method: str, status: int, answer: object, spec: dict[str, Any]) -> list[str]:
    """What is wrong with an answer to a request by Discord's OpenAPI 3.1 document; empty if nothing."""
    responses = spec["paths"][route][method.lower()]["responses"]
    described = responses.get(str(status)) or responses.get(f"{str(status)[0]}XX")
    if described is None:
        return [f"{method} {route} never answers {status}"]
    if "$ref" in described:
        described = spec["components"]["responses"][described["$ref"].rpartition("/")[2]]
    content = described.get("content")
    if content is None:
        return [] if answer is None else ["content where none is described"]
    return _errors(content["application/json"]["schema"], answer, "answer", _registry(_Identity(spec)))


class _Identity:
    """Lets a large document be the key of a cache."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and other.spec is self.spec

    def __hash__(self) -> int:
        return id(self.spec)


@lru_cache(maxsize=2)
def _registry(identity: _Identity) -> Registry[Any]:
    relaxed = copy.deepcopy(identity.spec)
    snowflake = relaxed["components"]["schemas"].get("SnowflakeType")
    if snowflake is not None:
        snowflake.update(type=["string", "integer"], minimum=0)
    registry: Registry[Any] = Registry()
    filled: Registry[Any] = registry.with_resource(_DOCUMENT, DRAFT202012.create_resource(relaxed))
    return filled


def _errors(schema: Mapping[str, Any], value: object, where: str, registry: Registry[Any]) -> list[str]:
    validator = Draft202012Validator(_absolute(schema), registry=registry)
    return [
        f"{where}{''.join(f'[{key!r}]' for key in error.absolute_path)}: {error.message[:300]}"
        for error in validator.iter_errors(value)
    ]


def _absolute(schema: Any) -> Any:
    """The schema with its references made to point into the document from outside."""
    if isinstance(schema, dict):
        return {
            key: f"{_DOCUMENT}{quote(value, safe='#/')}" if key == "$ref" else _absolute(value)
            for key, value in schema.items()
        }
    return [_absolute(item) for item in schema] if isinstance(schema, list) else schema


def _path_violations(
    request: RestRequest, parameters: Mapping[tuple[str, str], Any], registry: Registry[Any]
) -> list[str]:
    pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(request.route))
    found = re.fullmatch(pattern, request.path)
    if found is None:
        return [f"the path {request.path} is not {request.route}"]
    problems: list[str] = []
    for name, value in found.groupdict().items():
        problems += _errors(parameters["path", name]["schema"], value, f"path {name}", registry)
    return problems


def _query_violations(
    request: RestRequest, parameters: Mapping[tuple[str, str], Any], registry: Registry[Any]
) -> list[str]:
    problems = [f"unknown query argument {name}" for name in request.query if ("query", name) not in parameters]
    for (place, name), parameter in parameters.items():
        if place != "query":
            continue
        if name in request.query:
            value = _as_typed(request.query[name], parameter["schema"])
            problems += _errors(parameter["schema"], value, f"query {name}", registry)
        elif parameter.get("required"):
            problems.append(f"missing query argument {name}")
    return problems


def _as_typed(text: str, schema: Mapping[str, Any]) -> object:
    """What stands in a query as the type that the schema wants, if it can be read so."""
    kinds = schema.get("type", "string")
    if "boolean" in kinds:
        return {"0": False, "1": True, "false": False, "true": True}.get(text.lower(), text)
    return int(text) if "integer" in kinds and text.isdecimal() else text


def _body_violations(request: RestRequest, operation: Mapping[str, Any], registry: Registry[Any]) -> list[str]:
    wanted = operation.get("requestBody")
    if wanted is None:
        return [] if request.body is None and not request.files else ["a body where none is taken"]
    if request.body is None:
        return ["no body"] if wanted.get("required") else []
    kind = "multipart/form-data" if request.files else "application/json"
    if kind not in wanted["content"]:
        return [f"no body of type {kind} is taken"]
    return _errors(wanted["content"][kind]["schema"], request.body, "body", registry)
