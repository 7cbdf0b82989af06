"""Requests of senders for storage commitment, while their reports are given."""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from storage.database.engine import open_database
from storage.database.schema import Base
from storage.database.sessions import Sessions
from storage.series.commitment_requests import (
    CommitmentRequest,
    due_requests,
    end_request,
    keep_request,
)
from tests.support.databases import database_url

pytestmark = pytest.mark.database

NOW = datetime(2026, 3, 1, tzinfo=UTC)
REQUEST = CommitmentRequest(calling_ae="CT1", transaction_uid="2.25.77", objects={"1.2": "1.3"})


def test_a_request_that_comes_again_while_its_report_ends_is_kept(tmp_path: Path) -> None:
    database = open_database(database_url(tmp_path))
    Base.metadata.create_all(database)
    sessions = Sessions(database)
    with sessions.begin() as session:
        assert keep_request(session, REQUEST, NOW)
    kept: list[bool] = []

    def come_again() -> None:
        with sessions.begin() as session:
            kept.append(keep_request(session, REQUEST, NOW))

    again = threading.Thread(target=come_again)
    with sessions.begin() as session:
        end_request(session, REQUEST)
        again.start()
        again.join(1)  # it waits for what ends the request
    again.join(20)

    assert kept == [True]
    with sessions.reading() as session:
        assert due_requests(session, NOW + timedelta(days=1)) == [REQUEST]
    sessions.close()
