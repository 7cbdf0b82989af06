"""Simulated senders, archives and scanners: what is closed early was complete.

The node's own judgement (headers, archive counts, decision) on a simulated clock. Closed early and
wrong is a series to which another image came. By the strong proofs there is none; the weaker ones
know nothing of what is still to come, so they can be wrong, and are counted.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

import pytest

from dicom_node.closing.decision import BY_ARCHIVE, PATIENCE, WEAKER
from pipeline.reasons import ClosedBy
from tests.reliability.closing.node import SimulatedNode
from tests.reliability.closing.others import others
from tests.reliability.closing.scanner import transfer
from tests.reliability.tally import Tally, times

SENDERS = times(500, 5_000)
OLD = 0.4  #: share of the studies that were made on an earlier day: their senders have all of it


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How the series of one sender was closed.

    Attributes
    ----------
    number
        Of the sender: whoever draws it again sees the same.
    traits
        What is unusual about it.
    missing
        Images that came after the closing.
    """

    number: int
    proof: str
    traits: frozenset[str]
    missing: int

    @property
    def outcome(self) -> str:
        when = "late" if self.proof in PATIENCE else "early"
        return f"{when}-{'wrong' if self.missing else 'right'}"


def ended(number: int) -> Ended:
    """Draw a sender with its archive and scanner, and have the node close its series."""
    draw = random.Random(number)
    is_old = draw.random() < OLD
    sender = transfer(draw)
    said = others(draw, sender, is_old=is_old)
    closing = SimulatedNode(sender, said, is_old=is_old).closing(draw)
    proof = str(closing.by)
    if closing.is_weaker and closing.by in BY_ARCHIVE:
        proof += " as a weaker proof"
    traits = frozenset(sender.traits | said.traits)
    return Ended(number=number, proof=proof, traits=traits, missing=closing.missing)


def is_strong(proof: str) -> bool:
    return proof in set(ClosedBy) - WEAKER - PATIENCE


@pytest.mark.timeout(3600)
def test_simulated_senders(tally: Tally) -> None:
    every = [ended(number) for number in range(SENDERS)]
    counts = Counter((one.proof, one.outcome) for one in every)

    assert [one for one in every if is_strong(one.proof) and one.missing] == []
    assert sum(one.outcome == "early-right" for one in every) > SENDERS / 3
    tally.note(
        "a series closed early was complete",
        f"{SENDERS:,} simulated senders, scanners and archives with pauses, several associations,"
        " other orders, missing ends, two acquisitions, late slices, false and slow counts and"
        " lists",
        told(counts),
    )


def told(counts: Counter[tuple[str, str]]) -> str:
    """Write the counts as a sentence."""
    proofs = sorted({proof for proof, _ in counts} - PATIENCE)
    parts = [
        f"{proof} {counts[proof, 'early-right']:,} right, {counts[proof, 'early-wrong']:,} wrong"
        for proof in proofs
    ]
    right, wrong = (
        sum(counts[str(proof), outcome] for proof in PATIENCE)
        for outcome in ("late-right", "late-wrong")
    )
    return f"closed by {'; '.join(parts)}; by the quiet time {right:,} right, {wrong:,} wrong"
