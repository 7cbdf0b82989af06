"""A receiver that stops ends many open associations at once."""

from pathlib import Path

from pynetdicom import AE
from pynetdicom.sop_class import Verification

from tests.support.reception import open_resources, running_receiver

OPEN = 12


def test_all_associations_hear_of_the_end(tmp_path: Path) -> None:
    ae = AE("SCANNER")
    ae.add_requested_context(Verification)
    with running_receiver(open_resources(tmp_path)) as running:
        opened = [ae.associate(*running.address, ae_title="AINODE") for _ in range(OPEN)]
        assert all(assoc.is_established for assoc in opened)
        running.receiver.drain(seconds=0)
        for assoc in opened:
            assoc.join(10)
        assert [assoc.is_aborted for assoc in opened] == [True] * OPEN
    ae.shutdown()
