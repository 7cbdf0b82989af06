"""The application: all pages, their errors, the events that tell pages to look again."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Collection
from http import HTTPStatus
from pathlib import Path
from typing import cast

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from dicom_node.console.access.guard import Guard
from dicom_node.console.access.people import Role
from dicom_node.console.api.app import make_api
from dicom_node.console.api.openapi import BASE
from dicom_node.console.context import Console, console_of, for_role, user_of
from dicom_node.console.language.translation import _
from dicom_node.console.pages import (
    answers,
    export,
    login,
    node,
    openid,
    people,
    performance,
    series,
    settings,
    thresholds,
    worklist,
)
from dicom_node.console.parameters import midnight
from dicom_node.errors import Busy
from dicom_node.logs import log
from storage.console.worklist import Filter, tiles
from storage.console.worklist import worklist as lines
from storage.errors import StorageError

STATIC = Path(__file__).parent / "static"
LOOK_SECONDS = 2.0  #: between two looks whether anything has changed
MOST_OF_ONE = 10  #: pages of one user that are told of changes
MOST_LISTENERS = 50  #: pages that are told of changes; further ones ask by themselves
KEEP_ALIVE_LOOKS = 10  #: looks after which a page hears something though nothing has changed


def make_app(console: Console, *, hosts: Collection[str]) -> ASGIApp:
    """Make the application.

    Parameters
    ----------
    hosts
        Names and addresses by which browsers may call it.
    """
    app = Starlette(
        routes=[
            *worklist.ROUTES,
            *series.ROUTES,
            *answers.ROUTES,
            *export.ROUTES,
            *thresholds.ROUTES,
            *settings.ROUTES,
            *performance.ROUTES,
            *node.ROUTES,
            *login.ROUTES,
            *openid.ROUTES,
            *people.ROUTES,
            Route("/events", events),
            Mount(BASE, app=make_api(console)),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        exception_handlers={
            HTTPException: _refused,
            StorageError: _not_now,
            Busy: _not_now,
            Exception: _failed,
        },
    )
    app.state.console = console
    app.state.listeners = Counter()
    app.state.look = Look(console)
    return Guard(app=app, hosts=frozenset(hosts), is_secure=console.is_secure)


async def events(request: Request) -> Response:
    """Tell a page whenever anything has changed, by server-sent events."""
    check = for_role(Role.VIEWER)(lambda _: Response())
    refusal = await run_in_threadpool(check, request)
    if refusal.status_code != HTTPStatus.OK:
        return refusal
    listeners, user = request.app.state.listeners, user_of(request).user
    if listeners.total() >= MOST_LISTENERS or listeners[user] >= MOST_OF_ONE:
        return PlainTextResponse("too many pages listen: this one asks by itself", 503)
    return StreamingResponse(_changes(request), media_type="text/event-stream")


async def _changes(request: Request) -> AsyncIterator[str]:
    console = console_of(request)
    listeners, user = request.app.state.listeners, user_of(request).user
    listeners[user] += 1
    try:
        look = request.app.state.look
        before, looks = await run_in_threadpool(look), 0
        yield "retry: 5000\n\n"
        while not await request.is_disconnected():
            await asyncio.sleep(LOOK_SECONDS)
            if await run_in_threadpool(console.who, request) is None:
                return
            now, looks = await run_in_threadpool(look), looks + 1
            if now != before:
                before = now
                yield "event: changed\ndata: now\n\n"
            elif looks % KEEP_ALIVE_LOOKS == 0:
                yield ": still here\n\n"
    finally:
        listeners[user] -= 1


class Look:
    """Looks whether anything has changed, for all pages that listen: at most once a while."""

    def __init__(self, console: Console) -> None:
        self._console, self._lock = console, threading.Lock()
        self._found: object = None
        self._due_at = 0.0

    def __call__(self) -> object:
        """Give something that differs when the worklist does; None while the database is away."""
        with self._lock:
            if time.monotonic() >= self._due_at:
                self._found = self._fingerprint()
                self._due_at = time.monotonic() + LOOK_SECONDS / 2
            return self._found

    def _fingerprint(self) -> object:
        console = self._console
        try:
            with console.sessions.reading() as session:
                today = midnight(console.clock().astimezone().date())
                return tiles(session, today), [
                    (line.series_instance_uid, line.state, line.instances, line.destinations)
                    for line in lines(session, Filter(), worklist.LINES)
                ]
        except StorageError:
            return None


async def _refused(request: Request, fault: Exception) -> Response:
    refused = cast(HTTPException, fault)
    return _error_page(request, refused.status_code, _(str(refused.detail)))


async def _not_now(request: Request, fault: Exception) -> Response:
    return _error_page(request, HTTPStatus.SERVICE_UNAVAILABLE, str(fault))


async def _failed(request: Request, fault: Exception) -> Response:
    log.error("console_page_failed", path=request.url.path.partition("/s/")[0], exc_info=fault)
    text = _("This page could not be made; the log says why.")
    return _error_page(request, HTTPStatus.INTERNAL_SERVER_ERROR, text)


def _error_page(request: Request, status: int, text: str) -> Response:
    if not hasattr(request.state, "who"):
        request.state.who = None
    return console_of(request).page(request, "error.html", status, text=text, status=status)
