"""With another version of pynetdicom everything goes the stock way, and the log says so."""

import subprocess
import sys
from pathlib import Path

from pydicom import Dataset

from pipeline.synthetic.phantom.dicom import phantom_datasets, write_series
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from tests.support.paths import ROOT

CODE = """
import sys
from pathlib import Path

import pynetdicom

pynetdicom.__version__ = "3.0.99"  # before anything of ours asks for it

from dicom_node.delivery.outgoing_file import OutgoingFile
from dicom_node.delivery.store_scu import send
from dicom_node.network.association import Peer
from dicom_node.network.pynetdicom_internals.reactor_pause import reactor_paused
from tests.support.reception import open_resources, running_receiver

with reactor_paused(object()):  # an association without private parts
    pass
folder = Path(sys.argv[1])
files = [OutgoingFile.of(path) for path in sorted(folder.glob("*.dcm"))]
with running_receiver(open_resources(folder)) as reception:
    host, port = reception.address
    peer = Peer(ae_title="AINODE", host=host, port=port, timeout_seconds=10)
    print([str(outcome.verdict) for _, outcome in send(files, peer, calling_ae="CT1")])
    print(len(reception.instances()))
"""


def test_instances_are_sent_and_received_without_private_parts(tmp_path: Path) -> None:
    slices: list[Dataset] = phantom_datasets(make_phantom(PhantomSpec(slices=3, size=32)), seed=1)
    write_series(slices, tmp_path)

    shown = subprocess.run(
        [sys.executable, "-P", "-c", CODE, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(ROOT)},
        timeout=120,
    )

    lines = shown.stdout.splitlines()
    assert "['accepted', 'accepted', 'accepted']" in lines
    assert lines[-1] == "3"
    assert "fast_receive_unusable" in shown.stdout
