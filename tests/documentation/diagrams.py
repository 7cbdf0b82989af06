"""Draw the Mermaid diagrams of the documentation again, with mermaid-cli and Chromium.

    python -m tests.documentation.diagrams MMDC CHROMIUM

MMDC is the program of the npm package @mermaid-js/mermaid-cli. Pictures that no page shows any
more are removed; `make docs` names one that is missing.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.paths import ROOT

DOCS = ROOT / "docs"
FENCE = re.compile(r"^```mermaid\n(.*?)\n```", re.M | re.S)
LOOK = {"htmlLabels": False, "flowchart": {"htmlLabels": False}}  # letters as SVG, not as HTML


def diagrams() -> dict[str, str]:
    """Names of the pictures, by digest, and the text of each."""
    texts = [text for page in DOCS.rglob("*.md") for text in FENCE.findall(page.read_text())]
    return {f"diagram-{hashlib.sha256(text.encode()).hexdigest()[:12]}.svg": text for text in texts}


def main(mmdc: str, chromium: str) -> None:
    """Draw what is missing, and remove what is left over."""
    named = diagrams()
    for picture in set(DOCS.glob("images/diagram-*.svg")):
        if picture.name not in named:
            picture.unlink()
    with tempfile.TemporaryDirectory() as place:
        look, browser, text = (Path(place) / name for name in ("look", "browser", "text"))
        look.write_text(json.dumps(LOOK))
        browser.write_text(json.dumps({"executablePath": chromium, "args": ["--no-sandbox"]}))
        for name, diagram in named.items():
            text.write_text(diagram)
            files = ["-c", look, "-p", browser, "-i", text, "-o", DOCS / "images" / name]
            subprocess.run([mmdc, "--quiet", "-b", "white", *files], check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
