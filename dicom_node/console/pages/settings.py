"""Pages of the settings: who changed them, when and what; put earlier ones back."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from config.errors import SettingsChanged, SettingsError
from config.hot import CONSOLE, waiting_for_restart
from config.reader import read_text
from config.versions import Change, Version, changes_between, digest, restore, versions
from dicom_node.console.access.people import Role
from dicom_node.console.context import Console, console_of, for_role, form_of, post, user_of
from dicom_node.console.current_settings import AT_START
from dicom_node.console.language.translation import _
from dicom_node.console.words import setting_words
from storage.console.changes import record_change
from storage.errors import StorageError

SHOWN = 200  #: changes, the latest
NUMBER = "/settings/{number:number}"


@for_role(Role.ADMIN)
def page(request: Request) -> Response:
    """Show who changed the settings."""
    return _page(request)


@for_role(Role.ADMIN)
def before_change(request: Request) -> Response:
    """Show what putting the settings back would change, and ask for it."""
    console = console_of(request)
    ini, version = _ini_of(console), _version(request)
    try:
        now, then = read_text(ini), read_text(version.path)
    except SettingsError as fault:
        return _page(request, told=str(fault), code=409)
    return console.page(
        request,
        "settings_before.html",
        version=version,
        differences=changes_between(now, then),
        is_same=now == then,
        seen=digest(now),
    )


@for_role(Role.ADMIN)
def put_back(request: Request) -> Response:
    """Put the settings back as they were before a change; that is a change itself."""
    console = console_of(request)
    ini, version = _ini_of(console), _version(request)
    seen = form_of(request).get("seen") or "nothing"
    try:
        written = restore(
            ini, version, expected_digest=seen, by=user_of(request).user, at=console.clock()
        )
    except SettingsChanged:
        text = _("Somebody has changed the settings meanwhile: look again.")
        return _page(request, told=text, code=409)
    except (SettingsError, OSError) as fault:
        return _page(request, told=str(fault), code=409)
    return _page(request, told=record_written(request, written))


def record_written(request: Request, written: Version | None) -> str:
    """Record each setting that was changed; say which, and which wait for a restart."""
    if written is None:
        return _("nothing has changed")
    told = _("Written: {changes}.", changes="; ".join(map(setting_words, written.changes)) or "-")
    try:
        _record(request, written)
    except StorageError as fault:
        text = _("It could not be recorded among what was done: {reason}.", reason=fault)
        told = f"{told} {text}"
    return " ".join([told, *_when(written.changes)])


def _when(changes: Collection[Change]) -> Iterator[str]:
    """Say which changes wait for a start, of the node or of this console."""
    of_node = [change for change in changes if change.section != CONSOLE]
    if keys := ", ".join(waiting_for_restart(of_node)):
        yield _("These count from the next start of the node: {keys}.", keys=keys)
    of_console = [change for change in changes if change.section in AT_START]
    if keys := ", ".join(waiting_for_restart(of_console)):
        yield _("These count from the next start of the console: {keys}.", keys=keys)


def _record(request: Request, written: Version) -> None:
    """Record each setting that was changed: all of them, or none.

    Raises
    ------
    StorageError
        If the database is away.
    """
    console = console_of(request)
    with console.sessions.begin() as session:
        for change in written.changes:
            before, after = change.old or "", change.new or ""
            subject = f"[{change.section}] {change.key}"
            recorded = console.change(request, "setting", subject, before=before, after=after)
            record_change(session, recorded)


def history(console: Console, most: int | None = None) -> tuple[tuple[Version, ...], str]:
    """List changes of the INI file, the latest first; say why, if they cannot be read."""
    try:
        return versions(console.ini)[::-1][:most] if console.ini else (), ""
    except OSError as fault:
        return (), f"{fault.filename}: {fault.strerror}"


def _page(request: Request, *, told: str = "", code: int = 200) -> Response:
    console = console_of(request)
    known, unread = history(console, SHOWN)
    return console.page(
        request,
        "settings.html",
        code,
        history=known,
        unread=unread,
        ini=console.ini,
        told=told,
    )


def _ini_of(console: Console) -> Path:
    if console.ini is None:
        raise HTTPException(409, "this console has no INI file to write to")
    return console.ini


def _version(request: Request) -> Version:
    number = request.path_params["number"]
    console = console_of(request)
    _ini_of(console)
    known, unread = history(console)
    if unread:
        raise HTTPException(409, unread)
    for version in known:
        if version.number == number:
            return version
    raise HTTPException(404, "there is no such change")


ROUTES = [
    Route("/settings", page),
    Route(NUMBER, before_change),
    post(f"{NUMBER}/restore", put_back),
]
