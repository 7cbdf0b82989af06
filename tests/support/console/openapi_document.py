"""Write docs/openapi.json: ``python -m tests.support.console.openapi_document``."""

import json

from dicom_node.console.api.openapi import document
from tests.support.paths import ROOT

FILE = ROOT / "docs" / "openapi.json"


def text() -> str:
    """Give the document as its file has it."""
    return json.dumps(document(), indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
