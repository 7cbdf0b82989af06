"""``python -m benchmarks``: measure all, and write the document.

Receiving against pynetdicom's stock way, DCMTK's storescp and Orthanc; sending against dcmsend.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.analysis import TITLE
from benchmarks.document import document
from benchmarks.processes import missing
from benchmarks.receive import receiving
from benchmarks.send import sending


def main() -> None:
    """Read the command line, measure, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--out", type=Path, help="the document (Markdown); else it is printed")
    parser.add_argument("--slices", type=int, default=300, help="instances of a series")
    parser.add_argument("--rounds", type=int, default=7, help="how often each way is measured")
    options = parser.parse_args()
    if absent := missing("storescp", "storescu"):
        parser.error(f"expected DCMTK's tools to be installed, not found: {', '.join(absent)}")
    size = {"slices": options.slices, "rounds": options.rounds}
    text = document([receiving(**size), sending(**size)], **size)
    if options.out:
        earlier = options.out.read_text() if options.out.exists() else ""
        _, title, analysing = earlier.partition(TITLE)  # measured by a module of its own
        options.out.write_text(f"{text}\n{title}{analysing}" if title else text)
    else:
        print(text)


if __name__ == "__main__":
    main()
