"""Third-party validators and readers, as functions from files to their messages."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.sr.coding import Code

from pipeline.encode.result import codes

JARS = ("pixelmed", "commons-codec", "slf4j-api", "slf4j-nop", "vecmath")
PIXELMED = Path("/usr/share/java/pixelmed.jar")
SR_VALIDATOR = (
    "java",
    "-Xmx2g",
    "-XX:+UseSerialGC",
    # the templates are larger than Java lets an expression be
    *(f"-Djdk.xml.xpath{limit}Limit=0" for limit in ("TotalOp", "ExprOp", "ExprGrp")),
    "-cp",
    ":".join(str(PIXELMED.with_stem(jar)) for jar in JARS),
    "com.pixelmed.validate.DicomSRValidator",
)
REPORT_TITLE = Code("18748-4", "LN", "Diagnostic Imaging Report")  #: of CID 7000
SAME_NAME = ("1410", "1411", "1501")
"""Templates of measurement groups, all of the same concept name (125007, DCM, "Measurement
Group"): the validator tries each of them on every group."""


def said(*command: str | Path, ok: Sequence[int] = (0,)) -> list[str]:
    """All lines that a program prints; an exit code other than `ok` is an error line."""
    answer = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=280, check=False
    )
    lines = answer.stdout.decode("utf-8", "replace").splitlines()
    if answer.returncode not in ok:
        lines.append(f"Error: {command[0]} ended with {answer.returncode}")
    return lines


def dciodvfy(path: Path) -> list[str]:
    """Information object definition (PS3.3) of one object."""
    lines = said("dciodvfy", "-new", path, ok=(0, 1))
    return [line for line in lines if line.startswith(("Error", "Warning", "Abort"))]


def dcentvfy(paths: Sequence[Path]) -> list[str]:
    """Whether patient, study, series and equipment are the same throughout a set."""
    lines = said("dcentvfy", *paths, ok=(0, 1))
    return [line for line in lines if line.startswith(("Error", "Warning"))]


def dsrdump(path: Path) -> list[str]:
    """Content tree as DCMTK reads it; as HTML as well."""
    lines = [*said("dsrdump", path), *said("dsr2html", path, "/dev/null")]
    return [line for line in lines if re.match(r"[EWF]: |Error", line)]


def sr_validator(path: Path) -> list[str]:
    """Templates (PS3.16) of a report, by PixelMed.

    It finds the root template by the title and knows none but those of the standard, so reports of
    text are checked under one of them (CID 7000 is extensible).
    """
    report = dcmread(path)
    if report.ConceptNameCodeSequence[0].CodingSchemeDesignator == codes.PRIVATE_SCHEME:
        report.ConceptNameCodeSequence = [codes.code_item(REPORT_TITLE)]
        path = path.with_suffix(".titled")
        report.save_as(path)
    lines = said(*SR_VALIDATOR, path)
    if "Root Template Validation Complete" not in lines:
        return [f"Error: the root template was not validated: {' '.join(lines)[-300:]}"]
    templates = dict(group_templates(report))
    return [
        line
        for line in lines
        if line.startswith(("Error", "Warning")) and not _of_another_template(line, templates)
    ]


def group_templates(report: Dataset) -> Iterator[tuple[str, str]]:
    """Place in the content tree, such as ``1.10.2``, and stated template of each group."""
    for n, section in enumerate(report.ContentSequence, 1):
        for m, group in enumerate(section.get("ContentSequence", ()), 1):
            for template in group.get("ContentTemplateSequence", ()):
                yield f"1.{n}.{m}", str(template.TemplateIdentifier)


def _of_another_template(line: str, templates: Mapping[str, str]) -> bool:
    """Whether a group was tried against another template than the one it states."""
    tried = re.match(r"\w+: Template (\d+) ", line)
    place = re.search(r"\b(1\.\d+\.\d+)", line)
    if tried is None or place is None or tried[1] not in SAME_NAME:
        return False
    return templates.get(place[1], tried[1]) != tried[1]


def pictures(path: Path, folder: Path, program: str = "dcm2pnm") -> list[np.ndarray]:
    """Every frame as DCMTK paints it, ``(rows, columns[, 3])`` uint8.

    Raises
    ------
    AssertionError
        If the program complains.
    """
    options = {"dcm2pnm": ("+Fa",), "dcmj2pnm": ("+Fa", "+oj")}[program]
    out = folder / f"{path.stem}-{program}"
    lines = said(program, *options, path, out)
    assert not [line for line in lines if re.match(r"[EF]: |Error", line)], lines
    return [np.asarray(Image.open(image)) for image in sorted(folder.glob(f"{out.name}.*"))]
