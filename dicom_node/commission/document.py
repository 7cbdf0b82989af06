"""Write the protocol of an acceptance as a PDF, with lines to sign."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from PIL import Image as Picture
from reportlab.lib.colors import HexColor
from reportlab.lib.enums import TA_LEFT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import (
    Flowable,
    Image,
    KeepTogether,
    PageBreak,
    Paragraph,
    SimpleDocTemplate,
    Spacer,
    Table,
    TableStyle,
)

from dicom_node.commission.protocol import DestinationSeen, Protocol, figures_of
from dicom_node.governance.new_file import new_file
from pipeline.encode.common.typeface import drawable, font_file
from storage.states import SelfTestState

MARGIN = 18 * mm
WIDTH = A4[0] - 2 * MARGIN
PICTURE_HEIGHT = 150 * mm  #: at most
RULE, RED, GREY = HexColor("#c8ced5"), HexColor("#a02020"), HexColor("#586069")
FACE, BOLD = "Commission", "Commission-Bold"
PLAIN = ParagraphStyle("plain", fontName=FACE, fontSize=8.5, leading=12, alignment=TA_LEFT)
SMALL = ParagraphStyle("small", PLAIN, fontSize=7.5, leading=10, textColor=GREY)
STRONG = ParagraphStyle("strong", PLAIN, fontName=BOLD)
FAULT = ParagraphStyle("fault", PLAIN, textColor=RED)
HEAD = ParagraphStyle("head", STRONG, fontSize=11, leading=16, spaceBefore=8, spaceAfter=3)
TITLE = ParagraphStyle("title", STRONG, fontSize=16, leading=22)

NOTICE = (
    "For research use only. Not a medical device. The self-test is of a synthetic chest: it shows"
    " that the whole way works here as it did where this version was made, and nothing about"
    " patients. What the model was trained on, and must not be used for: its model card."
)


def write_document(protocol: Protocol, file: Path) -> None:
    """Write the PDF, whole or not at all.

    Raises
    ------
    NodeError
        If the file is there.
    OSError
        If it cannot be written: the error names it.
    """
    for name, bold in ((FACE, False), (BOLD, True)):
        pdfmetrics.registerFont(TTFont(name, str(font_file(bold=bold))))
    with new_file(file) as stream:
        SimpleDocTemplate(
            stream,
            pagesize=A4,
            leftMargin=MARGIN,
            rightMargin=MARGIN,
            topMargin=MARGIN,
            bottomMargin=MARGIN,
            title="Acceptance of an installation of dicom-node",
            author="dicom-node",
        ).build(list(_story(protocol)), onFirstPage=_number, onLaterPages=_number)


def _number(canvas: object, document: object) -> None:
    """Put the number of the page at its foot."""
    canvas.setFont(FACE, 7)  # type: ignore[attr-defined]  # ReportLab has no types
    canvas.drawRightString(A4[0] - MARGIN, MARGIN / 2, str(canvas.getPageNumber()))  # type: ignore[attr-defined]  # likewise


def _story(protocol: Protocol) -> Iterable[Flowable]:
    yield _text("Acceptance of an installation of dicom-node", TITLE)
    yield _text(f"{protocol.at:%Y-%m-%d %H:%M} UTC", PLAIN)
    yield _text(NOTICE, SMALL)
    yield _text("Result", HEAD)
    open_points = protocol.open_points
    if open_points:
        yield _text(f"{len(open_points)} open:", STRONG)
        yield from (_text(f"- {point}", FAULT) for point in open_points)
    else:
        yield _text("Everything that was looked at is in order.", STRONG)
    yield from (_text(f"- to be put right: {doubt}", PLAIN) for doubt in protocol.doubts)
    yield _text("Installation", HEAD)
    yield _pairs(protocol.installation)
    yield _text("Destinations", HEAD)
    for destination in protocol.destinations:
        yield KeepTogether(list(_destination(destination)))
    yield from _self_test(protocol)
    yield _text("Thresholds", HEAD)
    yield _pairs(protocol.thresholds)
    yield _text("Versions", HEAD)
    yield _pairs(protocol.software)
    yield KeepTogether(list(_signature()))
    if protocol.pictures:
        yield PageBreak()
        yield _text("Pictures of the self-test, as a viewer shows its objects", HEAD)
        yield _text(
            "CT; outlines of the Segmentation: right lung blue, left lung green, opacities orange;"
            " heatmap",
            SMALL,
        )
        yield from map(_picture, protocol.pictures)


def _destination(seen: DestinationSeen) -> Iterable[Flowable]:
    yield _text(f"{seen.name}: {seen.address}", STRONG)
    if seen.fault:
        yield _text(f"does not answer: {seen.fault}", FAULT)
        return
    yield _text("answers (C-ECHO, or a query where it is reached by DICOMweb)", PLAIN)
    if seen.classes:
        yield _table(
            ("SOP class", "taken"),
            [(one.name, "yes" if one.taken else "no") for one in seen.classes],
            (0.8, 0.2),
        )


def _self_test(protocol: Protocol) -> Iterable[Flowable]:
    run = protocol.self_test
    yield _text("Self-test", HEAD)
    passed = run.state is SelfTestState.PASSED
    yield _text("passed" if passed else f"failed: {run.reason}", STRONG if passed else FAULT)
    if run.began_at is not None and run.ended_at is not None:
        seconds = (run.ended_at - run.began_at).total_seconds()
        yield _text(f"{seconds:.1f} s, all waiting included; {run.model}", PLAIN)
    if run.verdict:
        verdict = json.loads(run.verdict)
        yield _table(("figure", "found", "expected"), figures_of(run), (0.4, 0.3, 0.3))
        yield _text(f"Compared with {verdict['expected']['source']}.", SMALL)
        yield _text(f"Tolerances: {verdict['tolerances']}", SMALL)


def _signature() -> Iterable[Flowable]:
    yield _text("Acceptance", HEAD)
    yield _text("The installation is accepted  [   ]      is not accepted  [   ]", PLAIN)
    yield Spacer(1, 12 * mm)
    line = Table([["", "", ""], ["name and function", "date", "signature"]], [WIDTH / 3] * 3)
    line.setStyle(
        TableStyle(
            [
                ("FONT", (0, 0), (-1, -1), FACE, 7.5),
                ("LINEBELOW", (0, 0), (-1, 0), 0.6, GREY),
                ("TEXTCOLOR", (0, 1), (-1, 1), GREY),
            ]
        )
    )
    yield line


def _picture(file: Path) -> Flowable:
    with Picture.open(file) as picture:
        width, height = picture.size
    scale = min(WIDTH / width, PICTURE_HEIGHT / height)
    return KeepTogether([Image(str(file), width * scale, height * scale), Spacer(1, 3 * mm)])


def _pairs(rows: Sequence[tuple[str, str]]) -> Flowable:
    return _table((), rows, (0.35, 0.65))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], shares: Sequence[float]) -> Flowable:
    cells = [[_text(cell, STRONG) for cell in head]] if head else []
    cells += [[_text(cell, PLAIN) for cell in row] for row in rows]
    table = Table(cells, [share * WIDTH for share in shares], repeatRows=int(bool(head)))
    table.setStyle(
        TableStyle(
            [
                ("LINEBELOW", (0, 0), (-1, -1), 0.4, RULE),
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("TOPPADDING", (0, 0), (-1, -1), 1),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
            ]
        )
    )
    return table


def _text(words: str, style: ParagraphStyle) -> Flowable:
    return Paragraph(escape(drawable(words)), style)
