"""The rows of the table of jobs, as values: what is written of a result, and the job that a row holds."""

import json
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Final, cast

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from bot.jobs import errors
from bot.jobs.model import DeliveredBy, Job, Painted, State
from engine.recipe import Inputs, Recipe

STATES: Final = frozenset(State)


def result_columns(painted: Painted | None) -> dict[str, str]:
    """The columns of a result."""
    if painted is None:
        return {"painted": ""}
    return {"painted": json.dumps(asdict(painted))} | ({"recipe_id": painted.recipe_id} if painted.recipe_id else {})


class ReadableRow(BaseModel):
    """A valid row of the table of jobs. SQLite accepts values of any type in any column."""

    model_config = ConfigDict(from_attributes=True, strict=True)

    id: str
    owner: int
    guild_id: int | None
    state: Annotated[State, Field(strict=False)]
    process: str
    turn: int
    recipe: str
    description: str
    max_bytes: Annotated[int, Field(gt=0)]
    spoiler: bool
    parent: str
    action: str
    locale: str
    pings: bool
    finishing: bool
    painted: str
    cause: str
    delivered_by: str
    created_at: datetime
    accepted: float

    def job(self, address: str, blobs: dict[str, str]) -> Job:
        """The job of this row. Raises ``LookupError``, ``TypeError`` or ``ValueError`` if a value can't be read."""
        blobs = TypeAdapter(dict[str, str]).validate_python(blobs, strict=True)
        styles = sum(role.startswith("style-") for role in blobs)
        return Job(
            id=self.id,
            owner=self.owner,
            guild_id=self.guild_id,
            recipe=Recipe.model_validate_json(self.recipe),
            inputs=Inputs(
                blobs["content"],
                tuple(blobs[f"style-{index}"] for index in range(max(1, styles))),
                blobs.get("mask"),
            ),
            address=address,
            description=self.description,
            max_bytes=self.max_bytes,
            spoiler=self.spoiler,
            parent=self.parent,
            action=self.action,
            locale=self.locale,
            pings=self.pings,
            finishing=self.finishing,
            state=self.state,
            created_at=self.created_at,
            accepted=self.accepted,
            process=self.process,
            checkpoint=blobs.get("checkpoint"),
            final_state=blobs.get("state"),
            frames={int(role[6:]): name for role, name in sorted(blobs.items()) if role.startswith("frame-")},
            thumbnail=blobs.get("thumbnail"),
            painted=TypeAdapter(Painted).validate_json(self.painted) if self.painted else None,
            cause=errors.load(self.cause) if self.cause else None,
            delivered_by=cast(DeliveredBy, self.delivered_by) if self.delivered_by else None,
        )
