"""A request to drain is heard whoever made it, and whether it can be read or not."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dicom_node.health import Health
from dicom_node.reception.draining import DRAINING, Drain, end_drain, request_drain

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def drain(tmp_path: Path) -> Drain:
    return Drain(tmp_path, Health())


def test_the_node_is_drained_until_the_request_is_taken_back(drain: Drain, tmp_path: Path) -> None:
    request_drain(tmp_path, "root", AT)
    drain.look()
    assert drain.reason == "drained by root since 2026-03-01T12:00:00+00:00"

    assert end_drain(tmp_path)
    drain.look()

    assert not drain.reason


def test_a_request_of_another_user_can_be_read_by_the_node(tmp_path: Path) -> None:
    before = os.umask(0o077)  # that of every command
    try:
        request_drain(tmp_path, "root", AT)
    finally:
        os.umask(before)

    assert (tmp_path / DRAINING).stat().st_mode & 0o777 == 0o644


def test_a_request_that_cannot_be_read_counts(drain: Drain, tmp_path: Path) -> None:
    (tmp_path / DRAINING).symlink_to(DRAINING)  # reading it is a fault of the system
    drain.look()
    assert "cannot be read" in drain.reason

    (tmp_path / DRAINING).unlink()
    (tmp_path / DRAINING).touch()
    drain.look()

    assert "cannot be read" in drain.reason
