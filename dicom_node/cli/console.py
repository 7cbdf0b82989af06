"""The commands `console` and `user`: serve the console, and say who may log in."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from config.reader import load
from dicom_node.cli.options import INI, Ini
from dicom_node.console.access.people import Role
from dicom_node.errors import NodeError

if TYPE_CHECKING:
    from storage.database.sessions import Session

Record = Callable[[str, str, str, str], None]

app = typer.Typer()
users = typer.Typer(no_args_is_help=True, help="Users of the console.")
app.add_typer(users, name="user")

Name = Annotated[str, typer.Argument(help="Name of the user.")]
FromInput = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input.")
]


@app.command()
def console(config: Ini = INI) -> None:
    """Serve the web console of [console] until SIGTERM or Ctrl-C."""
    from dicom_node import logs
    from dicom_node.console.server import serve

    settings = load(config)
    logs.configure(level=settings.log.level, style=settings.log.format)
    serve(config)


@users.command()
def add(
    name: Name,
    role: Annotated[Role, typer.Option(help="What the user may do.")] = Role.VIEWER,
    password_stdin: FromInput = False,
    config: Ini = INI,
) -> None:
    """Add a user; the password is asked for."""
    from dicom_node.console.access.passwords import hashed
    from dicom_node.console.access.people import user_name
    from storage.console.users import User, add_user

    name = user_name(name)
    password = hashed(_password(from_input=password_stdin))
    user = User(name=name, role=role, password=password, created_at=datetime.now(UTC))
    with _changing(config) as (session, record):
        add_user(session, user)
        record("add user", name, "", role)
    typer.echo(f"{name} may log in as {role}.")


@users.command(name="list")
def list_all(config: Ini = INI) -> None:
    """List the users."""
    from dicom_node.assembly.resources import existing_resources
    from storage.console.users import list_users

    resources = existing_resources(load(config))
    with resources.sessions.reading() as session:
        for user in list_users(session):
            typer.echo(f"{user.name}: {user.role}{', disabled' if user.disabled else ''}")


@users.command()
def password(name: Name, password_stdin: FromInput = False, config: Ini = INI) -> None:
    """Set the password of a user anew; all sessions of the user end."""
    from dicom_node.console.access.passwords import hashed
    from storage.console.users import change_user

    new = hashed(_password(from_input=password_stdin))
    with _changing(config) as (session, record):
        change_user(session, name, password=new)
        record("password", name, "", "")
    typer.echo(f"{name} has a new password; all sessions have ended.")


@users.command()
def disable(name: Name, config: Ini = INI) -> None:
    """Let a user not log in any more; all sessions of the user end."""
    from storage.console.users import change_user, count_enabled

    with _changing(config) as (session, record):
        change_user(session, name, disabled=True)
        if not count_enabled(session, Role.ADMIN):
            raise NodeError("expected another administrator to be left, there is none")
        record("change user", name, "", "disabled")
    typer.echo(f"{name} may not log in any more.")


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
                user=f"{getpass.getuser()} (command line)",
                action=action,
                subject=subject,
                before=before,
                after=after,
            )
            record_change(session, change)

        yield session, record
