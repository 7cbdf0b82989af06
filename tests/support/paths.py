"""Paths of the checkout, and of the shared real cases."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("DICOM_NODE_TEST_DATA", ROOT.parent / "shared" / "data"))
REAL_CASES = ("covid-01", "cap-01", "normal-01", "tumour-01")  #: folders of CT series in DATA
