"""The receiver must be up at once: what it imports does not include what computes."""

import subprocess
import sys

import pytest

COMPUTES = ("torch", "scipy", "SimpleITK", "imagecodecs", "highdicom", "safetensors", "reportlab")


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("dicom_node.node.lifecycle", COMPUTES),
        ("dicom_node.cli.app", COMPUTES),
        ("dicom_node.cli.demo", ("torch",)),
    ],
)
def test_the_node_starts_without_what_computes(module: str, absent: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print(sorted(set({absent}) & set(sys.modules)))"

    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert answer.stdout.strip() == "[]"
