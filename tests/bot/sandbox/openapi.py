"""Discord's OpenAPI 3.1 document, and checks of requests and answers against it."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from bot.sandbox import RestRequest

PATH = Path(__file__).parents[4] / "shared" / "discord" / "openapi.json"
_NAME = "urn:discord"


class OpenAPI:
    """The document. Its methods return one sentence for each violation."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        # The document wants strings for identifiers. Discord takes numbers, too, and discord.py sends them.
        document["components"]["schemas"]["SnowflakeType"].update(type=["string", "integer"], minimum=0)
        registry: Registry[Any] = Registry()
        self._registry = registry.with_resource(_NAME, DRAFT202012.create_resource(document))

    @classmethod
    @functools.cache
    def load(cls) -> OpenAPI | None:
        """The document beside the repository, read once; None where it is not."""
        return cls(json.loads(PATH.read_text(encoding="utf-8"))) if PATH.exists() else None

    def request(self, request: RestRequest) -> list[str]:
        """Violations of a request: its method, route, query and body."""
        path = self._document["paths"].get(request.route)
        if path is None:
            return [f"no route {request.route}"]
        operation = path.get(request.method.lower())
        if operation is None:
            return [f"{request.route} takes no {request.method}"]
        parameters = {
            (parameter["in"], parameter["name"]): parameter
            for parameter in [*path.get("parameters", []), *operation.get("parameters", [])]
        }
        return [
            *self._path(request, parameters),
            *self._query(request, parameters),
            *self._body(request, operation),
        ]

    def answer(self, route: str, method: str, status: int, answer: object) -> list[str]:
        """Violations of an answer to a request."""
        responses = self._document["paths"][route][method.lower()]["responses"]
        described = responses.get(str(status)) or responses.get(f"{str(status)[0]}XX")
        if described is None:
            return [f"{method} {route} never answers {status}"]
        if "$ref" in described:
            described = self._document["components"]["responses"][described["$ref"].rpartition("/")[2]]
        content = described.get("content")
        if content is None:
            return [] if answer is None else ["content where none is described"]
        return self._errors(content["application/json"]["schema"], answer, "answer")

    def _errors(self, schema: Mapping[str, Any], value: object, where: str) -> list[str]:
        validator = Draft202012Validator(_absolute(schema), registry=self._registry)
        return [
            f"{where}{''.join(f'[{key!r}]' for key in error.absolute_path)}: {error.message[:300]}"
            for error in validator.iter_errors(value)
        ]

    def _path(self, request: RestRequest, parameters: Mapping[tuple[str, str], Any]) -> list[str]:
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(request.route))
        found = re.fullmatch(pattern, request.path)
        if found is None:
            return [f"the path {request.path} is not {request.route}"]
        problems: list[str] = []
        for name, value in found.groupdict().items():
            problems += self._errors(parameters["path", name]["schema"], value, f"path {name}")
        return problems

    def _query(self, request: RestRequest, parameters: Mapping[tuple[str, str], Any]) -> list[str]:
        problems = [f"unknown query argument {name}" for name in request.query if ("query", name) not in parameters]
        for (place, name), parameter in parameters.items():
            if place != "query":
                continue
            if name in request.query:
                value = _as_typed(request.query[name], parameter["schema"])
                problems += self._errors(parameter["schema"], value, f"query {name}")
            elif parameter.get("required"):
                problems.append(f"missing query argument {name}")
        return problems

    def _body(self, request: RestRequest, operation: Mapping[str, Any]) -> list[str]:
        wanted = operation.get("requestBody")
        if wanted is None:
            return [] if request.body is None and not request.files else ["a body where none is taken"]
        if request.body is None:
            return ["no body"] if wanted.get("required") else []
        kind = "multipart/form-data" if request.files else "application/json"
        if kind not in wanted["content"]:
            return [f"no body of type {kind} is taken"]
        return self._errors(wanted["content"][kind]["schema"], request.body, "body")


def _absolute(schema: Any) -> Any:
    """The schema, with references that lead into the document from outside."""
    if isinstance(schema, dict):
        return {
            key: f"{_NAME}{quote(value, safe='#/')}" if key == "$ref" else _absolute(value)
            for key, value in schema.items()
        }
    return [_absolute(item) for item in schema] if isinstance(schema, list) else schema


def _as_typed(text: str, schema: Mapping[str, Any]) -> object:
    """A query's value as the type that the schema wants, if it can be read so."""
    kinds = schema.get("type", "string")
    if "boolean" in kinds:
        return {"0": False, "1": True, "false": False, "true": True}.get(text.lower(), text)
    return int(text) if "integer" in kinds and text.isdecimal() else text
