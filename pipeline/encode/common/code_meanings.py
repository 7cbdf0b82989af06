"""Translate the meanings of codes in content: the code stays, its meaning is for people.

The standard has meanings of its codes in other languages too (PS3.16 annexes H to J), and a
content item names its language (TID 1204).
"""

from __future__ import annotations

from pydicom import Dataset

from pipeline.encode.language.translation import _

CONTENT = ("ConceptNameCodeSequence", "ContentSequence")
"""Where the content of a document begins; codes elsewhere are copied from the source."""


def translate_meanings(result: Dataset) -> None:
    """Write the meanings in the content of a document, in place, in the language of the context."""
    for keyword in CONTENT:
        for item in result.get(keyword, ()):
            _translate(item)


def _translate(item: Dataset) -> None:
    if "CodeMeaning" in item:
        item.CodeMeaning = _(str(item.CodeMeaning))
    for element in item:
        if element.VR == "SQ":
            for nested in element.value:
                _translate(nested)
