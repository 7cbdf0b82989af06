"""A process that sends as the node does, and measures itself.

``python -m benchmarks.sender PORT FOLDER_OR_FILE`` sends it to the AE title AINODE here, and
prints the seconds it took and by how many bytes its memory grew at most.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from benchmarks.processes import memory
from dicom_node.cli.send import outgoing_files
from dicom_node.delivery.outcome import Verdict
from dicom_node.delivery.store_scu import send
from dicom_node.network.association import Peer


def main() -> None:
    """Send, and say how it went."""
    peer = Peer(ae_title="AINODE", host="127.0.0.1", port=int(sys.argv[1]))
    before = memory("self", "VmRSS")
    start = time.perf_counter()
    files, others = outgoing_files(Path(sys.argv[2]))
    refused = [
        outcome.detail
        for _, outcome in send(files, peer, calling_ae="BENCHMARK")
        if outcome.verdict is not Verdict.ACCEPTED
    ]
    seconds = time.perf_counter() - start
    if refused or others:
        raise ConnectionError(f"{len(refused)} of {len(files)} not accepted: {refused[:1]}")
    print(seconds, max(0, memory("self", "VmHWM") - before))


if __name__ == "__main__":
    main()
