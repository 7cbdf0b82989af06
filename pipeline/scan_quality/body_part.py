"""Flag series whose Body Part Examined names a part of the body without lungs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydicom import Dataset

from pipeline.reasons import QualityFlag
from pipeline.series.attributes import code
from pipeline.types import Doubt

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
    """Doubt a series whose headers name a part of the body that has no lungs."""
    named = {code(header, "BodyPartExamined") for header in headers}
    for term in sorted(named & ELSEWHERE):
        yield Doubt(
            code=QualityFlag.BODY_PART, text=f"Body Part Examined is {term}, a chest expected"
        )
