"""A console in this process, with series in its database, for tests of its pages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

from argon2 import PasswordHasher
from starlette.testclient import TestClient

from config.reader import load
from config.settings import Settings
from dicom_node.console.access.people import Role
from dicom_node.console.app import make_app
from dicom_node.console.context import Console
from dicom_node.resources import Resources
from pipeline.model.manifest import BUNDLED
from storage.console.users import User, add_user
from storage.delivery.outbox import Settlement, claim, due, keep_results, settle
from storage.results.kept_results import NewObject, NewResult
from storage.series.instance_facts import InstanceFacts
from storage.series.instances import record_instance
from storage.series.lifecycle import claim_next, close, leave, receiving
from storage.states import DeliveryState, SeriesState
from tests.support.databases import database_url
from tests.support.reception import open_resources

HOST = "console.example.org"
PASSWORD = "correct horse battery staple"  # noqa: S105  # of users in tests
HASHED = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(PASSWORD)  # quick to check
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
CARD = json.loads((BUNDLED / "manifest.json").read_text())
MODEL = f"{CARD['name']} {CARD['version']}"  #: that the settings choose, as results name it
SUMMARY: Mapping[str, Any] = MappingProxyType(
    {
        "notice": "Research use only. Not for primary diagnosis.",
        "score": 0.75,
        "threshold": 0.44,
        "involvement": {"right": 0.1, "left": 0.0, "total": 0.05},
        "lungs_ml": {"right": 2000.0, "left": 1800.0, "total": 3800.0},
        "opacities_ml": {"ground_glass": 40.0, "consolidation": 2.0},
        "lesions": [
            {
                "number": 1,
                "side": "right",
                "volume_ml": 40.0,
                "long_axis_mm": 33.0,
                "key_slice_from_below": 12,
            }
        ],
        "geometry": {"slices": 40},
        "flags": ["gaps-filled"],
        "doubts": [{"code": "gaps-filled", "text": "one slice was missing"}],
    }
)


@dataclass
class Clock:
    """A clock that a test moves."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, **duration: float) -> None:
        self.now += timedelta(**duration)


class ConsoleUnderTest:
    """A console with its database, and browsers that call it.

    Parameters
    ----------
    folder
        Of the database and the storage folder.
    """

    def __init__(self, folder: Path, *, is_secure: bool = True) -> None:
        self.resources: Resources = open_resources(folder)
        self.clock, self.steady = Clock(), 0.0
        storage = {"folder": folder, "database_url": database_url(folder)}
        self.settings = Settings.model_validate({"storage": storage})
        self.console = Console(
            sessions=self.resources.sessions,
            settings=lambda: self.settings,
            is_secure=is_secure,
            clock=self.clock,
        )
        self.app = make_app(self.console, hosts={HOST})
        with self.resources.sessions.begin() as session:
            for role in Role:
                user = User(name=f"a-{role}", role=role, password=HASHED, created_at=NOW)
                add_user(session, user)

    def beside(self, folder: Path) -> Self:
        """Start another console of the same folder and database, at the same time."""
        other = copy(self)
        other.resources = open_resources(folder)
        other.console = replace(self.console, sessions=other.resources.sessions)
        other.app = make_app(other.console, hosts={HOST})
        return other

    def use(self, ini: Path) -> None:
        """Take the settings from a file, and let them be changed in it."""
        self.settings = load(ini)
        self.console = replace(self.console, ini=ini)
        self.app = make_app(self.console, hosts={HOST})

    def browser(self) -> TestClient:
        """Open a browser that has not logged in."""
        headers = {"Origin": f"https://{HOST}", "Sec-Fetch-Site": "same-origin"}
        return TestClient(
            self.app, base_url=f"https://{HOST}", headers=headers, follow_redirects=False
        )

    def logged_in(self, role: Role) -> TestClient:
        """Open a browser in which a user of a role has logged in."""
        browser = self.browser()
        fields = {"name": f"a-{role}", "password": PASSWORD}
        assert browser.post("/login", data=fields).status_code == 303
        return browser

    def receive(
        self,
        series: str,
        at: datetime = NOW,
        *,
        sender: str = "CT1",
        path: str = "",
        **digests: str,
    ) -> None:
        """Enter a series of one instance."""
        facts = InstanceFacts(
            sop_instance_uid=f"{series}.1",
            sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
            series_instance_uid=series,
            study_instance_uid="1.2.8",
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            modality="CT",
            calling_ae=sender,
            path=path or f"incoming/{series}",
            digest="a",
            bytes=3,
            **digests,  # type: ignore[arg-type]  # of the patient and the accession number
        )
        with self.resources.sessions.begin() as session:
            record_instance(session, facts, at)

    def analyse(
        self,
        series: str,
        at: datetime = NOW,
        *,
        path: str = "",
        model: str = MODEL,
        scanner: str = "",
        kernel: str = "",
        digests: Mapping[str, str] = MappingProxyType({}),
        **changed: Any,  # noqa: ANN401  # of the summary
    ) -> None:
        """Enter a series with a result for one destination."""
        self.receive(series, at, path=path, **digests)
        summary = {**SUMMARY, **changed}
        report = NewObject(
            sop_instance_uid=f"{series}.9",
            kind="report",
            sop_class_uid="1",
            series_instance_uid=f"{series}.8",
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            path=f"results/{series}",
        )
        result = NewResult(
            key=f"key-{series}",
            model=model,
            scanner=scanner,
            kernel=kernel,
            score=summary["score"],
            positive=_positive(summary),
            summary=json.dumps(summary),
            folder=f"results/{series}",
        )
        with self.resources.sessions.begin() as session:
            self._close(session, series, at)
            ticket = claim_next(session, at)
            assert ticket is not None
            keep_results(session, ticket, result, [report], destinations=["PACS"], now=at)

    def refuse(self, series: str) -> None:
        """Enter that the destination has refused the result of a series."""
        with self.resources.sessions.begin() as session:
            (sent,) = claim(session, due(session, "PACS", NOW, 9))
            refused = Settlement(id=sent.id, state=DeliveryState.REFUSED, reason="A700")
            settle(session, [refused], NOW)

    def end(self, series: str, state: SeriesState, reason: str, at: datetime = NOW) -> None:
        """Enter a series that ends without a result."""
        self.receive(series, at)
        with self.resources.sessions.begin() as session:
            self._close(session, series, at)
            ticket = claim_next(session, at)
            assert ticket is not None
            leave(session, ticket, at, new=state, reason=reason)

    def _close(self, session: Any, series: str, at: datetime) -> None:  # noqa: ANN401  # SQLAlchemy's
        (opened,) = [one for one in receiving(session) if one.series_instance_uid == series]
        close(session, opened, at)


def form_token(browser: TestClient) -> str:
    """Read the form token of a browser's session from a page of its own."""
    text = browser.get("/account").text
    return text.partition('name="form_token" value="')[2].partition('"')[0]


def _positive(summary: Mapping[str, Any]) -> bool | None:
    """Whether the score of a summary is called positive; None where it is indeterminate."""
    low, score = summary.get("indeterminate_from"), summary["score"]
    is_above: bool = score >= summary["threshold"]
    return None if not is_above and low is not None and score >= low else is_above
