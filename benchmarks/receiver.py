"""A process that receives as the node does, and does nothing else.

``python -m benchmarks.receiver FOLDER fast|stock`` prints its port, and ends with its input.
"""

from __future__ import annotations

import sys
from pathlib import Path

from dicom_node import logs
from dicom_node.identity_key import keyed
from dicom_node.network.pynetdicom_internals.message_bounds import AssociationLimits
from dicom_node.reception.access import AllowedCallers
from dicom_node.reception.index_writer import IndexWriter
from dicom_node.reception.ingest import InstanceIngest
from dicom_node.reception.store_scp import Receiver
from dicom_node.resources import Resources
from pipeline.encode.result.kinds import SUBSTITUTES
from storage.database.engine import migrate, open_database
from storage.database.sessions import Sessions
from storage.files.folder import StorageFolder

MAXIMUM_PDU = 131_072  #: bytes, the node's default
DRAIN_SECONDS = 5.0


def main() -> None:
    """Receive until the input ends."""
    logs.configure(level="ERROR", style="console")
    folder, fast = Path(sys.argv[1]), sys.argv[2] == "fast"
    database = open_database(f"sqlite:///{folder / 'node.sqlite'}")
    migrate(database)
    sessions = Sessions(database, substitutes=SUBSTITUTES)
    resources = keyed(Resources(sessions=sessions, folder=StorageFolder(folder, 0)))
    index = IndexWriter(resources.sessions)
    index.start()
    receiver = Receiver(
        ae_title="AINODE",
        callers=AllowedCallers(),
        require_called_ae=True,
        limits=AssociationLimits(
            associations=100,
            of_one_address=100,
            pdu_bytes=MAXIMUM_PDU,
            silent_seconds=60,
        ),
    )
    _, port = receiver.listen(("127.0.0.1", 0), InstanceIngest(resources, index), fast=fast)
    print(port, flush=True)
    sys.stdin.read()
    receiver.drain(seconds=DRAIN_SECONDS)
    index.stop()
    resources.close()


if __name__ == "__main__":
    main()
