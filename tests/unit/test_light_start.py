"""The receiver must be up at once: what it imports does not include torch."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "module", ["dicom_node.node.lifecycle", "dicom_node.cli.app", "dicom_node.cli.demo"]
)
def test_the_node_starts_without_torch(module: str) -> None:
    code = f"import sys, {module}; print('torch' in sys.modules)"

    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert answer.stdout.strip() == "False"
