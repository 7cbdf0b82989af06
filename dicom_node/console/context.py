"""Context of the console's pages: database, folder, settings, templates; who asks."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from config.settings import Settings
from dicom_node.assembly.resources import folder_of
from dicom_node.audit.decisions import Decided, DecisionLog
from dicom_node.audit.syslog import NO_AUDIT, AuditSink
from dicom_node.clock_watch import utc_now
from dicom_node.console.access.failed_logins import Failure, note_failure
from dicom_node.console.access.guard import COOKIE, PLAIN_COOKIE, SAFE, same, token_digest
from dicom_node.console.access.login_limit import LoginLimit
from dicom_node.console.access.outside import OutsideUser, proxied_user, role_of
from dicom_node.console.access.people import Role
from dicom_node.console.access.tokens import ApiLimits
from dicom_node.console.language.translation import _, ngettext
from dicom_node.console.parameters import plain
from dicom_node.console.pictures import Pictures
from dicom_node.console.score_table import ScoreTable
from dicom_node.console.words import setting_words
from dicom_node.errors import Busy, NodeError
from dicom_node.identity_key import existing_key
from pipeline.encode.language.translation import current_language
from storage.console.changes import Change, record_change
from storage.console.users import SEEN_EVERY, OpenSession, find_session, note_request
from storage.database.sessions import Sessions
from storage.errors import ObjectsAway
from storage.files.folder import StorageFolder
from storage.files.identity_key import IdentityKey

TEMPLATES = Path(__file__).parent / "templates"
ASKED_BY_PAGES = {"/events", "/rows", "/tiles"}  #: by pages, whether anybody is there or not
MOST_FIELDS = 50  #: of a form
OF_ADDRESS = re.compile(r"(?<=[/:,])(?=[^/:,\s])|(?<=\.)(?=[^\W\d])")  #: places to break at
OF_UID, UID_ALONE = re.compile(r"(?<=\.)"), re.compile(r"[0-9.]{17,64}")
Page = Callable[[Request], Response]


def environment() -> Environment:
    """Make the environment of the templates: everything is escaped, nothing may be missing."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update({"_": _, "ngettext": ngettext})
    made.filters["at"] = _at
    made.filters["day"] = _day
    made.filters["duration"] = duration
    made.filters["plain"] = plain
    made.filters["breakable"] = _breakable
    made.filters["setting"] = setting_words
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Console:
    """Everything that pages need.

    Attributes
    ----------
    settings
        Gives the settings as they are now.
    ini
        The file that they are in; None if they cannot be changed here.
    is_secure
        Whether browsers reach it by TLS.
    audit
        Where audit events go.
    """

    sessions: Sessions
    settings: Callable[[], Settings]
    is_secure: bool
    ini: Path | None = None
    audit: AuditSink = NO_AUDIT
    clock: Callable[[], datetime] = utc_now
    api_limits: ApiLimits = field(default_factory=ApiLimits)
    pictures: Pictures = field(default_factory=Pictures)
    scores: ScoreTable = field(init=False)
    decisions: DecisionLog = field(init=False)
    files: StorageFolder = field(init=False)
    templates: Environment = field(default_factory=environment)

    def __post_init__(self) -> None:
        """Keep scores of its own database, and decisions that wait for its disk."""
        object.__setattr__(self, "scores", ScoreTable(self.sessions, self.clock))
        object.__setattr__(self, "decisions", DecisionLog(self.folder, self.clock))
        object.__setattr__(self, "files", folder_of(self.settings(), make=False))

    @property
    def limit(self) -> LoginLimit:
        """The bound of failed logins."""
        return LoginLimit(self.sessions, self.clock)

    @property
    def folder(self) -> Path:
        """The storage folder."""
        return self.settings().storage.folder

    def located(self, paths: Mapping[str, str]) -> dict[str, Path]:
        """Locate kept files by what they are for; none is there while the bucket is away."""
        try:
            self.files.bring(paths.values())
            return {name: self.files.locate(path) for name, path in paths.items()}
        except ObjectsAway:
            return {name: self.folder / path for name, path in paths.items()}

    def identity_key(self, what_fails: str) -> IdentityKey:
        """Read the identity key of the folder.

        Parameters
        ----------
        what_fails
            What cannot be done without it, in words.

        Raises
        ------
        Busy
            If it is away.
        """
        try:
            return existing_key(self.folder)
        except NodeError as fault:
            raise Busy(
                f"{what_fails} now: the identity key of the storage folder is away or cannot be"
                " read"
            ) from fault

    @property
    def cookie(self) -> str:
        """Name of the cookie that holds the token of a session."""
        return COOKIE if self.is_secure else PLAIN_COOKIE

    def outside_user(self, request: Request) -> OutsideUser | None:
        """Read whom a trusted proxy has logged in; None if it says nothing.

        Raises
        ------
        NodeError
            As `proxied_user`.
        """
        return proxied_user(self.settings().console, address_of(request), request.headers)

    def who(self, request: Request) -> OpenSession | None:
        """Find the session of a request; None if it has none that is open, or of another user.

        Another is whom a trusted proxy has logged in meanwhile, or one whose groups have another
        role by now: he comes in anew.
        """
        token = request.cookies.get(self.cookie, "")
        if not token:
            return None
        try:
            outside = self.outside_user(request)
        except NodeError:
            return None
        now = self.clock()
        with self.sessions.reading() as session:
            found = find_session(session, token_digest(token), now)
        if found is not None and outside is not None and not self._is_still(found, outside):
            return None
        asks_by_itself = request.url.path in ASKED_BY_PAGES
        if found is not None and now - found.seen_at > SEEN_EVERY and not asks_by_itself:
            with self.sessions.begin() as session:
                note_request(session, found.digest, now)
        return found

    def _is_still(self, found: OpenSession, outside: OutsideUser) -> bool:
        """Say whether a session is of whom a proxy names, and in the role of his groups."""
        group_roles = self.settings().console.group_roles
        role = role_of(outside.groups, group_roles) if group_roles else Role(found.role)
        return outside.name == found.user and role == found.role

    def page(
        self,
        request: Request,
        template: str,
        code: int = 200,
        /,
        **values: Any,  # noqa: ANN401  # whatever its template shows
    ) -> Response:
        """Render a page."""
        who = cast("OpenSession | None", getattr(request.state, "who", None))
        text = self.templates.get_template(template).render(
            who=who,
            is_reader=who is not None and Role(who.role).includes(Role.READER),
            is_admin=who is not None and Role(who.role).includes(Role.ADMIN),
            form_token=who.form_token if who else "",
            path=request.url.path,
            language=current_language(),
            now=self.clock(),
            **values,
        )
        return HTMLResponse(text, code)

    def change(self, request: Request, action: str, subject: str, **values: str) -> Change:
        """Say what the user of a request has changed."""
        return Change(
            at=self.clock(), user=user_of(request).user, action=action, subject=subject, **values
        )

    def note_failure(self, request: Request, failure: Failure, user: str = "") -> None:
        """Record that a login has failed, of a user if the name is one's."""
        address = address_of(request)
        note_failure(self.sessions, failure, self.clock(), address=address, user=user)

    def record(self, request: Request, action: str, subject: str, **values: str) -> None:
        """Record a change that the user of a request has made, in a transaction of its own."""
        with self.sessions.begin() as session:
            record_change(session, self.change(request, action, subject, **values))

    def decide(self, request: Request, what: Decided, facts: Mapping[str, object]) -> None:
        """Record in the log of decisions what the user of a request has decided."""
        self.decisions.record(what, facts, by=user_of(request).user)


def address_of(request: Request) -> str:
    """Give the address that a request comes from; empty if it is not known."""
    return request.client.host if request.client else ""


def console_of(request: Request) -> Console:
    """Give the console that a request is for."""
    return cast(Console, request.app.state.console)


def user_of(request: Request) -> OpenSession:
    """Give the session of a request to a page for users."""
    return cast(OpenSession, request.state.who)


def for_role(role: Role) -> Callable[[Page], Page]:
    """Let only users of a role, or of one that includes it, see a page."""

    def guarded(page: Page) -> Page:
        @wraps(page)
        def checked(request: Request) -> Response:
            console = console_of(request)
            who = console.who(request)
            if who is None:
                return _to_login(request)
            request.state.who = who
            if not Role(who.role).includes(role):
                raise HTTPException(403, _("this needs the role {role}", role=_(role)))
            if request.method not in SAFE:
                _check_form_token(request)
            return page(request)

        return checked

    return guarded


def form_of(request: Request) -> dict[str, str]:
    """Give the fields of the form of a request that was made by :func:`post`."""
    return cast("dict[str, str]", request.state.form)


def upload_of(request: Request) -> bytes:
    """Give the file of a request that was made by :func:`post`; empty without one."""
    return cast("bytes", request.state.upload)


def post(path: str, page: Page, *, upload: str = "") -> Route:
    """Make the route of a page that takes a form.

    Parameters
    ----------
    upload
        Name of the field that is a file; empty if none is taken.
    """

    async def endpoint(request: Request) -> Response:
        try:
            files = 1 if upload else 0
            async with request.form(max_files=files, max_fields=MOST_FIELDS) as form:
                file = form.get(upload)
                request.state.upload = await file.read() if isinstance(file, UploadFile) else b""
                request.state.form = {
                    name: value for name, value in form.items() if isinstance(value, str)
                }
        except (ClientDisconnect, TimeoutError) as gone:
            raise HTTPException(400, "the form did not come to its end") from gone
        return await run_in_threadpool(page, request)

    return Route(path, endpoint, methods=["POST"])


def _check_form_token(request: Request) -> None:
    """Check the token of a form, or of the header that htmx sends.

    Raises
    ------
    HTTPException
        If it is not that of the session.
    """
    token = request.headers.get("x-form-token") or form_of(request).get("form_token", "")
    if not same(token, user_of(request).form_token):
        raise HTTPException(403, "this form is of another session: open the page again")


def _to_login(request: Request) -> Response:
    if request.headers.get("hx-request"):
        return Response(status_code=401, headers={"HX-Redirect": "/login"})
    if request.method != "GET":
        raise HTTPException(401, "log in first")
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    suffix = "" if target == "/" else f"?next={quote(target, safe='')}"
    return RedirectResponse(f"/login{suffix}", 303)


def _at(moment: datetime | None) -> str:
    """Write a time of day, with its date unless it is of today; local time.

    The page adds the date when the day has passed (`static/console.js`).
    """
    if moment is None:
        return ""
    local, today = moment.astimezone(), datetime.now(UTC).astimezone().date()
    is_today = local.date() == today
    return _time(local, local.strftime("%H:%M:%S" if is_today else "%Y-%m-%d %H:%M"))


def _day(moment: datetime) -> str:
    local = moment.astimezone()
    return _time(local, f"{local:%Y-%m-%d %H:%M:%S}")


def _time(local: datetime, text: str) -> Markup:
    """Mark a time that is shown, with its whole date beside it."""
    whole = f"{local:%Y-%m-%d %H:%M:%S}"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        local.isoformat(timespec="seconds"), whole, text
    )


def _breakable(text: str) -> Markup:
    """Let an address, a path or a UID be broken behind its parts; a number is left whole."""
    return Markup("<wbr>").join((OF_UID if UID_ALONE.fullmatch(text) else OF_ADDRESS).split(text))


def duration(seconds: float) -> str:
    """Write a duration: seconds below two minutes, then minutes, hours, days."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
