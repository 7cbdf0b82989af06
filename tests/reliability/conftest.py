"""Tally of a run; `RELIABILITY_TABLE=file` writes it into a page."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.reliability.tally import Tally, page


@pytest.fixture(scope="session")
def tally() -> Iterator[Tally]:
    file = os.environ.get("RELIABILITY_TABLE")
    if file is None:
        yield Tally()
        return
    with page(Path(file)) as noted:
        yield noted
