"""Words of scanner and archive about a simulated series: true, too early, too little, too much."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from dicom_node.closing.decision import Named
from pipeline.reasons import ClosedBy
from tests.reliability.closing.scanner import Transfer


@dataclass(frozen=True, kw_only=True)
class Said:
    """A notification that the node has from a time on, s."""

    at: float
    named: Named


@dataclass(kw_only=True)
class Others:
    """Everybody who speaks of a series.

    Attributes
    ----------
    said
        Notifications; the later one of a kind with the same key replaces the earlier.
    count
        Number of instances that an archive tells at a time, s; None where there is none.
    """

    said: list[tuple[str, Said]] = field(default_factory=list)
    count: Callable[[float], int | None] = lambda _: None
    traits: set[str] = field(default_factory=set)

    def named(self, now: float, latest_image: float) -> tuple[Named, ...]:
        """List what is known of notifications at a time."""
        known = {key: said for key, said in self.said if said.at <= now}
        return tuple(
            replace(said.named, was_told_before=said.at < latest_image) for said in known.values()
        )


def others(draw: random.Random, transfer: Transfer, *, is_old: bool) -> Others:
    """Draw who speaks of a series.

    Parameters
    ----------
    is_old
        Of an earlier day: its archive does not get it acquisition by acquisition any more.
    """
    found = Others()
    if draw.random() < 0.4:
        _scanner(draw, transfer, found)
    if draw.random() < 0.3:
        _availability(draw, transfer, found)
    if draw.random() < 0.6:
        _archive(draw, transfer, found, is_old=is_old)
    return found


def _uids(transfer: Transfer) -> list[str]:
    return [image.held.sop_instance_uid for image in transfer.images]


def _scanner(draw: random.Random, transfer: Transfer, found: Others) -> None:
    """A step that begins before the first image, and ends some time after the last was made."""
    every = _uids(transfer)
    kind = draw.choice(["names all"] * 5 + ["names fewer", "names the first", "names more"])
    kind = "is discontinued" if draw.random() < 0.1 else kind
    named = {
        "names all": every,
        "names fewer": draw.sample(every, len(every) - draw.randint(1, 10)),
        "names the first": every[: draw.randint(1, len(every) - 1)],
        "names more": [*every, "1.99999"],
        "is discontinued": [],
    }[kind]
    found.traits.add(f"a step that {kind}")
    if not named:
        return
    if draw.random() < 0.5:  # it names what there is before it ends
        early = Named(
            by=ClosedBy.PROCEDURE_STEP, instances=frozenset(named[: len(named) // 2]), final=False
        )
        found.said.append(("step", Said(at=0.0, named=early)))
    end = transfer.made[-1] + draw.uniform(0, 40)
    whole = Named(by=ClosedBy.PROCEDURE_STEP, instances=frozenset(named))
    found.said.append(("step", Said(at=end, named=whole)))


def _availability(draw: random.Random, transfer: Transfer, found: Others) -> None:
    """Notifications of an archive: once it has all, or of what it has whenever it is quiet."""
    every = _uids(transfer)
    kind = draw.choice(["of all"] * 3 + ["as they come", "of fewer", "of more"])
    found.traits.add(f"availability {kind}")

    def say(key: str, at: float, instances: list[str]) -> None:
        named = Named(by=ClosedBy.AVAILABILITY, instances=frozenset(instances))
        found.said.append((key, Said(at=at, named=named)))

    end = transfer.end + draw.uniform(-15, 10)
    if kind == "as they come":
        earlier: list[str] = []
        for number, arrival in enumerate(transfer.arrivals):
            earlier.append(arrival.image.held.sop_instance_uid)
            later = transfer.arrivals[number + 1].at if number + 1 < len(transfer.arrivals) else 1e9
            if later - arrival.at > 4:
                say(f"note {number}", arrival.at + 3, list(earlier))
    elif kind == "of fewer":
        say("note", end, draw.sample(every, len(every) - draw.randint(1, 10)))
    else:
        say("note", end, [*every, "1.99999"] if kind == "of more" else every)


def _archive(draw: random.Random, transfer: Transfer, found: Others, *, is_old: bool) -> None:
    """An archive that counts instances of the series."""
    total = len(transfer.images)
    times = [arrival.at for arrival in transfer.arrivals]
    kind = draw.choice(
        ["has all"] * 4
        + ["fills as we do", "lags", "lags in steps"]
        + ["has all" if is_old else "has each acquisition first"]
        + ["tells too few", "tells too many", "fails"]
    )
    found.traits.add(f"an archive that {kind}")
    lag = draw.uniform(0.5, 30)
    wrong = draw.randint(1, total - 1)

    def here(now: float) -> int:
        return bisect_right(times, now)

    def by_acquisition(now: float) -> int:
        begun = {
            arrival.image.acquisition for arrival in transfer.arrivals if arrival.at <= now + 20
        }
        return sum(arrival.image.acquisition in begun for arrival in transfer.arrivals)

    counts: dict[str, Callable[[float], int | None]] = {
        "has all": lambda _: total,
        "fills as we do": lambda now: here(now + 0.3),
        "lags": lambda now: here(now - lag),
        "lags in steps": lambda now: here(now // lag * lag),
        "has each acquisition first": by_acquisition,
        "tells too few": lambda _: wrong,
        "tells too many": lambda _: total + wrong,
        "fails": lambda _: None,
    }
    found.count = counts[kind]
