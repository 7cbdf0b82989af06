"""Backups restored, databases deleted, kills between a result's files: no UID names two objects."""

from collections import Counter

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.property.test_uids_and_bytes import Installation
from tests.reliability.tally import Tally, times

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def test_whatever_is_restored_no_uid_names_two_sets_of_bytes(tally: Tally) -> None:
    seen: Counter[str] = Counter()

    class Counted(Installation):
        """An installation that counts its setbacks, and what its PACS has at the end."""

        def open(self) -> None:
            seen["starts"] += 1
            super().open()

        def teardown(self) -> None:
            seen["objects"] += len(self.received)
            seen["lives"] += 1
            super().teardown()

    run_state_machine_as_test(
        Counted,
        settings=settings(max_examples=times(2, 100), stateful_step_count=40, deadline=None),
    )

    tally.note(
        "copies restored, databases deleted or set back, kills between a result's files",
        f"{seen['lives']:,} random lives of an installation with {seen['starts']:,} starts",
        f"{seen['objects']:,} objects came to the PACS, 0 UIDs with two sets of bytes",
    )
