"""The tally of a run; `RELIABILITY_TABLE=file` has it written as a page."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.reliability.tally import LONG, Tally

PAGE = """\
# What was tried to break it

Made by `make reliability`{form} on {day}; a quick form of each runs in `make test`. Every line was
counted by the test that stands behind it (tests/reliability).

{table}"""


@pytest.fixture(scope="session")
def tally() -> Iterator[Tally]:
    noted = Tally()
    yield noted
    if file := os.environ.get("RELIABILITY_TABLE"):
        form = "" if LONG else " in its quick form"
        day = datetime.now(UTC).date().isoformat()
        Path(file).write_text(PAGE.format(form=form, day=day, table=noted.table()))
