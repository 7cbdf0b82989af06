"""How fast instances are received: the fast way, pynetdicom's own, and DCMTK's storescp.

``python benchmarks/receive.py [ROUNDS]``. All three get the same bytes from the same sender, one
association, CT slices of 512 x 512. The two ways of the node keep every instance durably (file,
rename and directory synchronised, then indexed); storescp writes without synchronising. What
counts are the ratios within a round; their medians are printed.
"""

from __future__ import annotations

import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from sqlalchemy.orm import Session, sessionmaker

from dicom_node import logs
from dicom_node.callers import Callers
from dicom_node.inbox import Index, Reception
from dicom_node.scp import Receiver
from dicom_node.store import Store
from pipeline.training.phantom import PhantomSpec, make_phantom
from pipeline.training.phantom_dicom import phantom_datasets
from storage.database import migrate, open_database
from storage.files import Inbox
from tests.wire_client import (
    STORE_CONTEXT,
    WireClient,
    packed,
    store_request,
    values,
)

INSTANCES = 200
STOCK = "pynetdicom's own"
Address = tuple[str, int]


def streams() -> list[bytes]:
    """Encode one C-STORE request for each instance."""
    ds = phantom_datasets(make_phantom(PhantomSpec(slices=3, size=512)), seed=1)[0]
    found = []
    for number in range(INSTANCES):
        ds.SOPInstanceUID = f"1.2.3.{number}"
        buffer = DicomBytesIO()
        buffer.is_little_endian, buffer.is_implicit_VR = True, False
        write_dataset(buffer, ds)
        request = values(STORE_CONTEXT, 1, store_request(ds.SOPInstanceUID, number + 1), [200])
        body = values(STORE_CONTEXT, 0, bytes(buffer.getvalue()), [16_000])
        found.append(packed([*request, *body], [1]))
    return found


@contextmanager
def node(folder: Path, *, fast: bool) -> Iterator[Address]:
    """Run the node's receiver with store and index."""
    database = open_database(f"sqlite:///{folder / 'node.sqlite'}")
    migrate(database)
    store = Store(sessions=sessionmaker(database, class_=Session), inbox=Inbox(folder, 0))
    index = Index(store.sessions)
    index.start()
    receiver = Receiver(
        ae_title="AINODE",
        callers=Callers(),
        require_called_ae=True,
        maximum_associations=100,
        maximum_pdu_size=131072,
        network_timeout_seconds=30,
    )
    yield receiver.listen(("127.0.0.1", 0), Reception(store, index), fast=fast)
    receiver.drain(seconds=5)
    index.stop()


@contextmanager
def storescp(folder: Path) -> Iterator[Address]:
    """Run DCMTK's receiver."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    process = subprocess.Popen(["storescp", "-aet", "AINODE", "-od", str(folder), str(port)])
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.1)
    yield "127.0.0.1", port
    process.terminate()
    process.wait()


def rate(address: Address, requests: list[bytes]) -> float:
    """Instances a second of one association."""
    with WireClient(address) as client:
        if client.associate() != 2:
            raise ConnectionError("the association was not accepted")
        start = time.perf_counter()
        for request in requests:
            client.socket.sendall(request)
            if client.answer().elements[0x0900] != b"\x00\x00":
                raise ConnectionError("an instance was refused")
        seconds = time.perf_counter() - start
        client.release()
    return len(requests) / seconds


def main() -> None:
    """Measure in rounds."""
    logs.configure(level="ERROR", style="console")
    requests, rounds = streams(), int(sys.argv[1]) if len(sys.argv) > 1 else 5
    ways: dict[str, Callable[[Path], object]] = {
        "fast": lambda folder: node(folder, fast=True),
        STOCK: lambda folder: node(folder, fast=False),
    }
    if shutil.which("storescp"):
        ways["storescp (not durable)"] = storescp
    found: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds):
        for name in sorted(ways, reverse=bool(turn % 2)):
            folder = Path(tempfile.mkdtemp())
            with ways[name](folder) as address:  # type: ignore[attr-defined]  # context managers
                found[name].append(rate(address, requests))
            shutil.rmtree(folder)
    size = len(requests[0]) / 1000
    print(f"{INSTANCES} instances of {size:.0f} kB, {rounds} rounds")
    for name, rates in found.items():
        ratios = [
            rate / stock for rate, stock in zip(rates, found["pynetdicom's own"], strict=True)
        ]
        print(
            f"{name:24} {statistics.median(rates):7.1f} /s"
            f"   {statistics.median(ratios):5.2f} x {STOCK}"
        )


if __name__ == "__main__":
    main()
