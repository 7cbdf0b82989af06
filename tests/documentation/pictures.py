"""Draw the pictures of the documentation: results of synthetic chests, as a viewer shows them.

    python -m tests.documentation.pictures docs/images

Nobody's images are in them. That of the console: `tests.acceptance.console_picture`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from pydicom import dcmread

from dicom_node.demo.pictures import write_previews

WIDTH = 1024  #: pixels
CHESTS = {  # what `dicom-node phantom` is told, by the name of the chest
    "positive": ["--seed", "2", "--lesions", "8"],
    "negative": ["--seed", "5", "--lesions", "0"],
}


def draw(chest: str, place: Path) -> list[Path]:
    """Analyse a synthetic chest; return its page and slices with outlines and heatmap."""
    ct, results = place / "ct", place / "results"
    for command in (
        ["phantom", str(ct), *CHESTS[chest]],
        ["process", str(ct), "--out", str(results)],
    ):
        subprocess.run([sys.executable, "-P", "-m", "dicom_node", *command], check=True)
    return write_previews(
        sorted(ct.glob("*.dcm")),
        [dcmread(path) for path in sorted(results.rglob("*.dcm"))],
        place / "previews",
    )


def save(picture: Path, to: Path) -> None:
    """Save a picture in the width of a page, with 128 colours."""
    with Image.open(picture) as image:
        height = round(image.height * WIDTH / image.width)
        small = image.convert("RGB").resize((WIDTH, height), Image.Resampling.LANCZOS)
        small.quantize(128, dither=Image.Dither.NONE).save(to, optimize=True)


def main(folder: Path) -> None:
    """Draw all of them."""
    for chest in CHESTS:
        with tempfile.TemporaryDirectory() as place:
            page, *slices = draw(chest, Path(place))
            save(page, folder / f"page-{chest}.png")
            if chest == "positive":
                save(slices[len(slices) // 2], folder / "slice-positive.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
