"""The quick start of the documentation, followed word for word; only ports and PACS are others."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dicom_node.demo.stand_in_pacs import StandInPacs
from tests.support.node_process import free_port
from tests.support.paths import ROOT

GUIDE = ROOT / "docs" / "quick-start.md"
SECONDS = 600  #: longest wait for all of it; on a busy machine each command starts slowly
END = """
until dicom-node status | grep -w delivered; do sleep 1; done
kill %1
wait %1
"""


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 60)
def test_its_commands_bring_a_result_to_the_pacs(tmp_path: Path) -> None:
    with StandInPacs(tmp_path / "pacs", ae_title="ORTHANC") as pacs:
        node_port = str(free_port())
        steps = "\n".join(re.findall(r"^```sh\n(.*?)^```", GUIDE.read_text(), re.M | re.S))
        steps = steps.replace("11112", node_port).replace("4242", str(pacs.port))
        steps = steps.replace("send ct", f"send ct --port {node_port}")
        programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        followed = subprocess.run(
            ["timeout", "--signal=KILL", str(SECONDS), "bash", "-emc", steps + END],
            cwd=tmp_path,
            env={**os.environ, "PATH": programs},
            capture_output=True,
            text=True,
            check=False,
        )

    assert followed.returncode == 0, followed.stdout + followed.stderr
    assert "PACS answers." in followed.stdout
    assert len(list((tmp_path / "pacs").glob("*.dcm"))) > 4
