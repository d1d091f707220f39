"""The routes of the operator's page. ``/`` is the page, and everything else is under ``/operator``."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final, Self

import structlog
from aiohttp import web
from sqlalchemy.exc import SQLAlchemyError

from bot.jobs.database.store import Store
from bot.jobs.history import JobHistory
from bot.jobs.model import Job
from bot.jobs.service import JobService
from bot.jobs.storage import Storage
from bot.settings import Settings
from bot.web.health import Health
from bot.web.operator.access import NO_PAGE, Access
from bot.web.operator.actions import OperatorActions, refusal
from bot.web.operator.collector import Collector
from bot.web.operator.history import SAMPLE_EVERY, SpeedHistory
from bot.web.operator.live import LiveProgress
from engine.errors import AtelierError
from engine.executor.api import Executor

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

MOST_PAGES: Final = 50
"""Open pages at a time."""
WRITTEN_WITHIN: Final = 10.0
"""Seconds for a page to take an event. One that takes longer is disconnected, and may come back."""
TYPES: Final = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_JOB: Final = "{job:[0-9a-f]{16}}"
_MEMBER: Final = "{member:[0-9]{1,19}}"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class OperatorPage:
    """The page with all its data and actions."""

    access: Access
    collector: Collector
    speed: SpeedHistory
    live: LiveProgress
    actions: OperatorActions
    jobs: JobService
    history: JobHistory
    settings: Settings

    @classmethod
    def of(
        cls,
        settings: Settings,
        store: Store,
        storage: Storage,
        executor: Executor,
        jobs: JobService,
        history: JobHistory,
        health: Health,
        latency: Callable[[], float],
    ) -> Self:
        """Make the page of a bot. ``latency`` is for :class:`SpeedHistory`."""
        token = settings.operator_token
        access = Access(settings.health_host, None if token is None else token.get_secret_value())
        if not access.page_is_on:
            log.warning("the operator's page is off", reason=NO_PAGE)
        pictures = settings.operator_pictures
        live = LiveProgress(jobs, pictures=pictures)
        collector = Collector(store, storage, executor, health, live, jobs.process, pictures=pictures)
        actions = OperatorActions(store, jobs, settings.operators)
        return cls(access, collector, SpeedHistory(latency), live, actions, jobs, history, settings)

    def add_to(self, app: web.Application) -> None:
        """Add the routes to a server, and what runs as long as the server does."""
        for path, name in _static_files().items():
            app.router.add_get(path, self._guarded(_file(name)))
        app.router.add_get("/operator/events", self._guarded(self._events))
        app.router.add_get(f"/operator/jobs/{_JOB}/preview", self._guarded(self._preview))
        app.router.add_get(f"/operator/jobs/{_JOB}/thumbnail", self._guarded(self._thumbnail))
        actions: dict[str, Callable[[web.Request], Awaitable[str]]] = {
            "pause": lambda _: self.actions.pause(),
            "drain": lambda _: self.actions.drain(),
            "resume": lambda _: self.actions.resume(),
            f"jobs/{_JOB}/cancel": lambda request: self.actions.cancel(request.match_info["job"]),
            f"jobs/{_JOB}/retry": lambda request: self.actions.retry(request.match_info["job"]),
            f"jobs/{_JOB}/block": lambda request: self.actions.block_owner(request.match_info["job"]),
            f"members/{_MEMBER}/block": lambda request: self.actions.block(int(request.match_info["member"])),
            f"members/{_MEMBER}/unblock": lambda request: self.actions.unblock(int(request.match_info["member"])),
        }
        for path, act in actions.items():
            app.router.add_post(f"/operator/{path}", self._guarded(self._action(act)))
        app.cleanup_ctx.append(self._sampling)
        app.on_shutdown.append(self._end)

    async def _sampling(self, _app: web.Application) -> AsyncIterator[None]:
        async def sample() -> None:
            while True:
                await asyncio.sleep(SAMPLE_EVERY)
                self.speed.sample()

        task = asyncio.create_task(sample())
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def _end(self, _app: web.Application) -> None:
        await self.collector.close()

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            try:
                self.access.check_site(request)
                response = await handler(request)
            except web.HTTPException as error:
                error.headers.update(HEADERS)
                raise
            if not response.prepared:
                response.headers.update(HEADERS)
            return response

        return guarded

    async def _events(self, request: web.Request) -> web.StreamResponse:
        acts = self.access.check_read(request)
        if self.collector.pages >= MOST_PAGES:
            raise web.HTTPServiceUnavailable(text=f"{MOST_PAGES} pages are open already. Close one.")
        headers = {**HEADERS, "Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)

        async def send(event: str, data: str) -> None:
            async with asyncio.timeout(WRITTEN_WITHIN):
                await response.write(f"event: {event}\ndata: {data}\n\n".encode())

        # A page that was closed, or takes nothing any more, ends this at the next event.
        with suppress(ConnectionResetError, TimeoutError):
            async with self.collector.page() as outdated:
                number = outdated
                await send("hello", json.dumps(self._hello(acts=acts)))
                taken = self.speed.taken
                await send("history", f"[{','.join(self.speed.samples)}]")
                while (found := await self.collector.next(number, acts=acts)) is not None:
                    number, state = found
                    await send("state", state)
                    for sample in self.speed.since(taken):
                        await send("sample", sample)
                    taken = self.speed.taken
        return response

    def _hello(self, *, acts: bool) -> dict[str, Any]:
        settings = self.settings
        return {
            "acts": acts,
            "could_act": self.access.token is not None,
            "pictures": settings.operator_pictures,
            "sample_every": SAMPLE_EVERY,
            "max_storage": settings.max_storage_mb << 20,
            "min_free": settings.min_free_mb << 20,
            "limits": {
                "open pictures of a member": settings.max_jobs_per_member,
                "pictures of a member in 24 hours": settings.max_jobs_per_day or "no limit",
                "hours until a job expires": settings.max_job_hours,
                "days that pictures are kept": settings.keep_days,
                "MB of a picture": settings.max_picture_mb,
                "megapixels of a picture": settings.max_picture_megapixels,
                "saved styles of a member": settings.max_styles_per_member,
                "saved styles of a server": settings.max_styles_per_server,
            },
        }

    async def _preview(self, request: web.Request) -> web.Response:
        self.access.check_read(request)
        live = self.live.get(request.match_info["job"])
        return _picture(None if live is None else live.preview)

    async def _thumbnail(self, request: web.Request) -> web.Response:
        self.access.check_read(request)
        if not self.settings.operator_pictures:
            return _picture(None)
        try:
            job: Job = await self.jobs.get(request.match_info["job"])
            found = {} if job.spoiler else await self.history.thumbnails([job])
        except (AtelierError, SQLAlchemyError):
            return _picture(None)
        return _picture(found.get(job.id))

    def _action(self, act: Callable[[web.Request], Awaitable[str]]) -> Handler:
        async def handler(request: web.Request) -> web.Response:
            self.access.check_act(request)
            try:
                text = await act(request)
            except AtelierError as error:
                return web.json_response({"text": refusal(error)}, status=409)
            except SQLAlchemyError as error:
                log.warning("an action of the operator's page failed", path=request.path, reason=repr(error))
                return web.json_response({"text": "The database does not answer. Try again."}, status=503)
            log.info("an operator acted", path=request.path, outcome=text)
            self.collector.hurry()
            return web.json_response({"text": text})

        return handler


def _picture(data: bytes | None) -> web.Response:
    if data is None:
        raise web.HTTPNotFound(text="There is no picture to show.")
    return web.Response(body=data, content_type="image/jpeg")


def _static_files() -> dict[str, str]:
    names = [each.name for each in files("bot.web.operator").joinpath("page").iterdir()]
    known = [name for name in names if name[name.rfind(".") :] in TYPES]
    return {"/" if name == "index.html" else f"/operator/{name}": name for name in sorted(known)}


def _file(name: str) -> Handler:
    data = files("bot.web.operator").joinpath("page", name).read_bytes()
    kind = TYPES[name[name.rfind(".") :]]

    async def handler(_request: web.Request) -> web.Response:
        return web.Response(body=data, content_type=kind, charset="utf-8")

    return handler
