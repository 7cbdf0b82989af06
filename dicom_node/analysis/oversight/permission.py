"""Decide purely whether series may be analysed now, and results may leave: switch and expiry."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

WARNED = timedelta(days=30)  #: before the last day of a model on which it is told that it comes
Switch = Literal["on", "hold", "off"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """What may be done now.

    Attributes
    ----------
    analyses
        Whether series are analysed; if not, they wait, unless `ends`.
    ends
        Whether series end without an analysis, with the reason.
    delivers
        Whether results leave; notices always do.
    fault
        What somebody should know of it; empty if nothing.
    """

    analyses: bool = True
    ends: bool = False
    delivers: bool = True
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Oversight:
    """What the settings say of the model in use.

    Attributes
    ----------
    expires
        Last day on which it analyses; None if it does not expire.
    """

    switch: Switch = "on"
    expires: date | None = None

    def permission(self, today: date) -> Permission:
        """Say what may be done on a day: of the site, by its own time."""
        if self.switch == "hold":
            return Permission(
                analyses=False,
                delivers=False,
                fault="held by [analysis] switch: series wait, and no result leaves",
            )
        if self.switch == "off":
            return Permission(
                analyses=False,
                ends=True,
                delivers=False,
                fault="switched off by [analysis] switch: series end without an analysis, and no"
                " result leaves",
            )
        if self.expires is None or today + WARNED < self.expires:
            return Permission()
        if today <= self.expires:
            return Permission(fault=f"the model expires: its last day is {self.expires}")
        return Permission(
            analyses=False,
            fault=f"the model has expired, its last day was {self.expires}: series wait",
        )


UNRESTRICTED = Oversight()
