"""Tally of a run; `RELIABILITY_TABLE=file` writes it into a page."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.reliability.tally import Tally

PAGE = """\
# What was tried to break it

Made by `make reliability`; a quick form of each runs in `make test`. Every line was counted by the
test that stands behind it (tests/reliability) and says when it was run last, and at which commit.

{table}"""


@pytest.fixture(scope="session")
def tally() -> Iterator[Tally]:
    file = os.environ.get("RELIABILITY_TABLE")
    page = Path(file) if file else None
    noted = Tally.of(page.read_text()) if page is not None and page.exists() else Tally()
    yield noted
    if page is not None:
        page.write_text(PAGE.format(table=noted.table()))
