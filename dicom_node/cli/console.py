"""The commands `console`, `user` and `token`: serve the console, say who may log in, or ask."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from config.reader import load
from dicom_node.cli.options import INI, AsJson, Ini, err
from dicom_node.cli.settings import os_user
from dicom_node.cli.views.json_text import json_text, print_outcome
from dicom_node.console.access.people import Role, user_name
from dicom_node.console.access.tokens import DEFAULT_DAYS, LONGEST_DAYS
from dicom_node.errors import NodeError, UsageError

if TYPE_CHECKING:
    from storage.database.sessions import Session

Record = Callable[[str, str, str, str], None]

app = typer.Typer()
users = typer.Typer(no_args_is_help=True, help="Users of the console.")
app.add_typer(users, name="user")
tokens = typer.Typer(
    no_args_is_help=True, help="Tokens of programs that ask the JSON API of the console."
)
app.add_typer(tokens, name="token")

Name = Annotated[str, typer.Argument(help="Name of the user.")]
Program = Annotated[str, typer.Argument(help="Name of the program, or of its machine.")]
FromInput = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input.")
]


@app.command()
def console(config: Ini = INI) -> None:
    """Serve the web console until SIGTERM or Ctrl-C."""
    from dicom_node import logs
    from dicom_node.console.server import serve

    settings = load(config)
    writer = logs.configure_service(settings.log)
    logs.take_standard_error(writer)
    serve(config)


@users.command()
def add(
    name: Name,
    role: Annotated[Role, typer.Option(help="What the user may do.")] = Role.VIEWER,
    password_stdin: FromInput = False,
    as_json: AsJson = False,
    config: Ini = INI,
) -> None:
    """Add a user; the password is asked for."""
    from dicom_node.console.access.passwords import hashed
    from storage.console.users import User, add_user

    name = _name(name)
    password = hashed(_password(from_input=password_stdin))
    user = User(name=name, role=role, password=password, created_at=datetime.now(UTC))
    with _changing(config) as (session, record):
        add_user(session, user)
        record("add user", name, "", role)
    print_outcome({"name": name, "role": role}, f"{name} may log in as {role}.", as_json=as_json)


@users.command(name="list")
def list_all(as_json: AsJson = False, config: Ini = INI) -> None:
    """List the users."""
    from dicom_node.assembly.resources import existing_resources
    from storage.console.users import list_users

    resources = existing_resources(load(config))
    with resources.sessions.reading() as session:
        found = list_users(session)
    if as_json:
        names = ("name", "role", "created_at", "disabled")  # never the hash of the password
        typer.echo(json_text([{name: getattr(user, name) for name in names} for user in found]))
        return
    for user in found:
        typer.echo(f"{user.name}: {user.role}{', disabled' if user.disabled else ''}")


@users.command()
def password(
    name: Name, password_stdin: FromInput = False, as_json: AsJson = False, config: Ini = INI
) -> None:
    """Set the password of a user anew; all sessions of the user end."""
    from dicom_node.console.access.passwords import hashed
    from storage.console.users import change_user

    new = hashed(_password(from_input=password_stdin))
    with _changing(config) as (session, record):
        change_user(session, name, password=new)
        record("password", name, "", "")
    words = f"{name} has a new password; all sessions have ended."
    print_outcome({"name": name, "sessions_ended": True}, words, as_json=as_json)


@users.command()
def disable(name: Name, as_json: AsJson = False, config: Ini = INI) -> None:
    """Let a user not log in any more; all sessions of the user end."""
    from storage.console.users import change_user, count_enabled, lock_enabled

    with _changing(config) as (session, record):
        lock_enabled(session, Role.ADMIN)
        change_user(session, name, disabled=True)
        if not count_enabled(session, Role.ADMIN):
            raise NodeError("expected another administrator to be left, there is none")
        record("change user", name, "", "disabled")
    words = f"{name} may not log in any more."
    print_outcome({"name": name, "disabled": True}, words, as_json=as_json)


@tokens.command(name="add")
def add_token(
    name: Program,
    role: Annotated[Role, typer.Option(help="What it may ask for.")] = Role.VIEWER,
    days: Annotated[
        int, typer.Option(min=1, max=LONGEST_DAYS, help="How long it is worth something.")
    ] = DEFAULT_DAYS,
    as_json: AsJson = False,
    config: Ini = INI,
) -> None:
    """Make a token and print it, this once: only its digest is kept."""
    from dicom_node.console.access.tokens import new_program_token
    from dicom_node.identity_key import existing_key
    from storage.console import tokens as rows

    name, now, text = _name(name), datetime.now(UTC), new_program_token()
    digest = existing_key(load(config).storage.folder).digest_of_token(text)
    token = rows.Token(
        name=name,
        role=role,
        digest=digest,
        created_at=now,
        expires_at=now + timedelta(days=days),
        created_by=os_user()[:64],
    )
    with _changing(config) as (session, record):
        rows.add_token(session, token)
        record("add token", name, "", f"{role}, until {token.expires_at:%Y-%m-%d}")
    if not as_json:
        err.print(
            f"{name} may ask as {role} until {token.expires_at:%Y-%m-%d}."
            " The token is shown this once:",
            highlight=False,
            markup=False,
        )
    facts = {"name": name, "role": role, "expires_at": token.expires_at, "token": text}
    print_outcome(facts, text, as_json=as_json)


@tokens.command(name="list")
def list_tokens(as_json: AsJson = False, config: Ini = INI) -> None:
    """List the tokens: names, roles, when they expire and were used; never themselves."""
    from dicom_node.assembly.resources import existing_resources
    from storage.console import tokens as rows

    resources, now = existing_resources(load(config)), datetime.now(UTC)
    with resources.sessions.reading() as session:
        found = rows.list_tokens(session)
    if as_json:
        names = ("name", "role", "created_at", "expires_at", "created_by", "used_at")
        typer.echo(json_text([{name: getattr(token, name) for name in names} for token in found]))
        return
    for token in found:
        ends = "expired" if token.expires_at <= now else "expires"
        used = f"used {_at(token.used_at)}" if token.used_at else "never used"
        typer.echo(
            f"{token.name}: {token.role}, {ends} {_at(token.expires_at)}, {used}, made"
            f" {_at(token.created_at)} by {token.created_by}"
        )


@tokens.command()
def revoke(name: Program, as_json: AsJson = False, config: Ini = INI) -> None:
    """Revoke a token: it is worth nothing from now on."""
    from storage.console.tokens import revoke_token

    with _changing(config) as (session, record):
        token = revoke_token(session, name.strip().lower())
        record("revoke token", token.name, token.role, "")
    words = f"{token.name} may not ask any more."
    print_outcome({"name": token.name, "revoked": True}, words, as_json=as_json)


def _name(text: str) -> str:
    """Read the name of a user, or of a program."""
    try:
        return user_name(text)
    except NodeError as fault:
        raise UsageError(str(fault)) from None


def _at(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"


def _password(*, from_input: bool) -> str:
    """Ask for a password, twice; or read it from standard input."""
    if from_input:
        return sys.stdin.readline().rstrip("\n")
    first = getpass.getpass("Password: ")
    if first != getpass.getpass("Again: "):
        raise NodeError("expected the same password twice, got two")
    return first


@contextmanager
def _changing(config: Path) -> Iterator[tuple[Session, Record]]:
    """Change users in one transaction, with a record of who did so on this machine."""
    from dicom_node.assembly.resources import existing_resources
    from storage.console.changes import Change, record_change

    with (
        closing(existing_resources(load(config))) as resources,
        resources.sessions.begin() as session,
    ):

        def record(action: str, subject: str, before: str, after: str) -> None:
            change = Change(
                at=datetime.now(UTC),
                user=f"{os_user()} (command line)",
                action=action,
                subject=subject,
                before=before,
                after=after,
            )
            record_change(session, change)

        yield session, record
