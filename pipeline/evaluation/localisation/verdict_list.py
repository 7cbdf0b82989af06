"""Write the verdicts on every system and case as CSV, and read them: what a table is made from."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.evaluation.localisation.verdict import Detections, Verdict

DIGITS = 6  #: significant ones of the numbers in the file
COLUMNS = (
    *("system", "patient", "called", "hit", "pointed", "dice", "volumes_ml"),
    *("touch_lesions", "touch_false", "iou_lesions", "iou_false"),
)
"""As of `Verdict`. Numbers are parted by blanks; without activation ``pointed`` is empty, and the
confidence of a lesion that no mark detects is ``-inf``."""
EXPECTED = f"verdicts with the columns {', '.join(COLUMNS)} expected"
WORDS = {True: "1", False: "0", None: ""}
VALUES = {word: value for value, word in WORDS.items()}


def verdicts_as_csv(verdicts: Mapping[str, Sequence[Verdict]]) -> bytes:
    """Give the verdicts, by system, as a file."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(
        (system, *_row(verdict)) for system, of_system in verdicts.items() for verdict in of_system
    )
    return stream.getvalue().encode()


def read_verdicts(file: Path) -> dict[str, list[Verdict]]:
    """Read what `verdicts_as_csv` gave.

    Raises
    ------
    PipelineError
        If the file holds something else.
    """
    found: dict[str, list[Verdict]] = {}
    try:
        with file.open(newline="", encoding="utf-8") as stream:
            rows = csv.DictReader(stream, strict=True)
            for row in rows:
                found.setdefault(row["system"], []).append(_verdict(row))
    except (OSError, KeyError, ValueError, TypeError, AttributeError, csv.Error) as exc:
        raise PipelineError(f"{EXPECTED}, got {type(exc).__name__}") from exc
    if not found:
        raise PipelineError(f"{EXPECTED}, got no rows")
    return found


def _row(verdict: Verdict) -> tuple[str, ...]:
    return (
        verdict.patient,
        *(WORDS[value] for value in (verdict.called, verdict.hit, verdict.pointed)),
        *map(
            _joined,
            (
                (verdict.dice,),
                verdict.volumes_ml,
                verdict.touch.lesions,
                verdict.touch.false,
                verdict.iou.lesions,
                verdict.iou.false,
            ),
        ),
    )


def _verdict(row: Mapping[str, str]) -> Verdict:
    called, hit, pointed = (VALUES[row[name]] for name in ("called", "hit", "pointed"))
    if called is None or hit is None:
        raise ValueError("called and hit of every case expected")
    (dice,) = _numbers(row["dice"])
    touch, iou = (
        Detections(lesions=_numbers(row[f"{sense}_lesions"]), false=_numbers(row[f"{sense}_false"]))
        for sense in ("touch", "iou")
    )
    return Verdict(
        patient=row["patient"],
        volumes_ml=_numbers(row["volumes_ml"]),
        called=called,
        hit=hit,
        pointed=pointed,
        dice=dice,
        touch=touch,
        iou=iou,
    )


def _joined(numbers: Iterable[float]) -> str:
    return " ".join(f"{number:.{DIGITS}g}" for number in numbers)


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(map(float, text.split()))
