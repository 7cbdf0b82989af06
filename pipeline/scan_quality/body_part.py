"""What the source says of the body part, against what is in its pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydicom import Dataset

from pipeline.series.attributes import text
from pipeline.types import Doubt

BODY_PART = "body-part"

ELSEWHERE = frozenset(
    {
        *("ABDOMEN", "ABDOMENPELVIS", "ANKLE", "ARM", "BLADDER", "BRAIN", "CALF", "CEREBELLUM"),
        *("COCCYX", "COLON", "CSPINE", "EAR", "ELBOW", "EXTREMITY", "EYE", "FACE", "FEMUR"),
        *("FINGER", "FOOT", "FOREARM", "GALLBLADDER", "HAND", "HEAD", "HEADNECK", "HIP"),
        *("HUMERUS", "IAC", "JAW", "KIDNEY", "KNEE", "LEG", "LIVER", "LOWERLEG", "LSPINE"),
        *("LSSPINE", "MANDIBLE", "MAXILLA", "NECK", "ORBIT", "PANCREAS", "PAROTID", "PELVIS"),
        *("PROSTATE", "SACRUM", "SCROTUM", "SELLA", "SIJOINT", "SKULL", "SPLEEN", "SSPINE"),
        *("THIGH", "THUMB", "THYROID", "TMJOINT", "TOE", "UTERUS", "WRIST", "ZYGOMA"),
    }
)
"""Defined terms of Body Part Examined (PS3.16 table L-1) that leave the chest out. Words of a
site's own are not judged."""


def body_part_doubts(headers: Sequence[Dataset]) -> Iterator[Doubt]:
    """Say so if the headers of a series name a part of the body that has no lungs."""
    named = {text(header, "BodyPartExamined").upper() for header in headers}
    for term in sorted(named & ELSEWHERE):
        yield Doubt(code=BODY_PART, text=f"Body Part Examined is {term}, a chest expected")
