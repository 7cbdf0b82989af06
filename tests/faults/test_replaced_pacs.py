"""A PACS is replaced by an empty one: a running node sends it everything once more."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from dicom_node.demo.stand_in_pacs import StandInPacs
from tests.faults.test_backup import command, series, start, store
from tests.support.node_process import NodeProcess, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_everything_goes_once_more_to_a_replaced_pacs(
    make_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    node = make_node(pacs.port)
    start(node)
    for seed in (1, 2):
        store(node, series(tmp_path / str(seed), seed))
    wait_until(lambda: node.states() == ["delivered"] * 2, seconds=120, what="both series")
    first = sorted(uid for uid, _ in pacs.received)

    said = command("redeliver", "--to", "PACS", "--since", "today", "--config", node.ini)

    assert f"2 results go to PACS once more, {len(first)} objects" in said
    wait_until(
        lambda: len(pacs.received) == 2 * len(first) and node.states() == ["delivered"] * 2,
        seconds=120,
        what="everything once more",
    )
    assert set(Counter(uid for uid, _ in pacs.received).values()) == {2}
    assert node.stop() == 0
