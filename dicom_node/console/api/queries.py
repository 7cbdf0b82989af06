"""Parameters of the API in the query of an address; each refuses what it does not know."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from dicom_node.console.pages.worklist import RARE_DAYS
from dicom_node.console.parameters import MAX_UID, bounds, day, place, whole
from storage.console.worklist import Filter
from storage.database.columns import MAX_TITLE
from storage.states import SeriesState

MAX_CURSOR = 100  #: characters of a time and a UID
Text = Annotated[str, Field(max_length=MAX_UID, pattern=r"^[^\x00-\x1f]*$")]


Whole = Annotated[int, BeforeValidator(whole)]
Day = Annotated[date, BeforeValidator(day)]


class Query(BaseModel):
    """No parameters."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class LimitQuery(Query):
    """How many lines of each list."""

    limit: Whole = Field(50, ge=1, le=500, description="Most lines of each list.")


class SeriesQuery(LimitQuery):
    """Which series are asked for; all of it must fit."""

    state: SeriesState | None = Field(None, description="State of the series.")
    sender: Annotated[Text, Field(max_length=MAX_TITLE)] = Field(
        "", description="AE title that sent it."
    )
    destination: Text = Field("", description="Name of a destination that gets its results.")
    flag: Text = Field("", description="Code of what makes its analysis doubtful.")
    study: Text = Field("", description="Study Instance UID.")
    day: Day | None = Field(None, description="Day of its latest image, local time of the node.")
    before: Annotated[str, Field(max_length=MAX_CURSOR)] = Field(
        "", description="`older` of the page before."
    )

    def as_filter(self, now: datetime) -> Filter:
        """Give the filter of the worklist.

        Raises
        ------
        ValueError, OverflowError
            If `before` is none, or no time has so early or late a day.
        """
        since, until = bounds(self.day) if self.day else (None, None)
        is_rare = self.flag or self.destination
        return Filter(
            state=self.state,
            sender=self.sender,
            destination=self.destination,
            flag=self.flag,
            study=self.study,
            since=since or (now - timedelta(days=RARE_DAYS) if is_rare else None),
            until=until,
            before=place(self.before) if self.before else None,
        )
