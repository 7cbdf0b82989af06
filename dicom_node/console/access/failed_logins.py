"""Reasons of failed logins, and their record: in the log, and for administrators."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from dicom_node.console.language.translation import mark
from dicom_node.logs import log
from storage.console.login_tries import record_failed_login
from storage.database.sessions import Sessions


class Failure(StrEnum):
    """Why a login failed, in words for administrators."""

    UNKNOWN = mark("unknown name")
    PASSWORD = mark("wrong password")
    DISABLED = mark("may not log in")
    OUTSIDE = mark("has no password here")
    CHANGE = mark("wrong present password")
    SINGLE_SIGN_ON = mark("single sign-on")
    PROXY = mark("named by the proxy")
    TOKEN = mark("token")


def note_failure(
    sessions: Sessions, failure: Failure, now: datetime, *, address: str, user: str = ""
) -> None:
    """Record a failed login.

    Parameters
    ----------
    user
        Name of a user; empty for a name that nobody has: somebody may have typed a password there.
    """
    if failure is Failure.TOKEN:
        log.warning("console_token_refused", host=address)
    else:
        log.warning("console_login_failed", host=address)
    with sessions.begin() as session:
        record_failed_login(
            session,
            now,
            user=user,
            address=address,
            reason=failure,
            first_forgotten=Failure.TOKEN,  # anybody makes many of them, and they say the least
        )
