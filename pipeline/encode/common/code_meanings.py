"""Translate the meanings of codes in results: the code stays, its meaning is for people.

The standard has meanings of its codes in other languages too (PS3.16 annexes H to J), and whoever
reads a code has to compare value and scheme (PS3.3 8.3). A content item names its language (TID
1204); other objects have no place for it.
"""

from __future__ import annotations

from pydicom import Dataset

from pipeline.encode.language.languages import Language
from pipeline.encode.language.translation import _, current_language

OWN = (
    "ConceptNameCodeSequence",
    "ContentSequence",
    "ContributingEquipmentSequence",
    "PerFrameFunctionalGroupsSequence",
    "PrimaryAnatomicStructureSequence",
    "SegmentSequence",
    "SeriesDescriptionCodeSequence",
    "SharedFunctionalGroupsSequence",
    "SourceImageSequence",
)
"""Where a result has codes of its own; those elsewhere are copied from the source."""


def translate_meanings(result: Dataset) -> None:
    """Write the meanings of a result, in place, in the language of the context."""
    if current_language() is Language.ENGLISH:
        return
    for keyword in OWN:
        for item in result.get(keyword, ()):
            _translate(item)


def _translate(item: Dataset) -> None:
    if "CodeMeaning" in item:
        item.CodeMeaning = _(str(item.CodeMeaning))
    for element in item:
        if element.VR == "SQ":
            for nested in element.value:
                _translate(nested)
