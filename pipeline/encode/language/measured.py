"""Translate what the analysis says of its figures, which it keeps as English sentences.

An analysis is kept with its doubts in words, and lives longer than the choice of a language. So
its sentences are known by their templates, of which the translations are in the catalogues.
"""

from __future__ import annotations

import re
from functools import cache

from pipeline.encode.language.languages import Language
from pipeline.encode.language.translation import _, current_language, in_ascii, with_decimal_mark
from pipeline.reasons import ClosedBy

SENTENCES = (
    # completeness
    "Series {completeness}.",
    "{slices} slices, {spacing} mm apart; interpolated: {gaps}.",
    "{slices} slices, {spacing} mm apart, no gap; the scanner did not announce how many.",
    "{slices} slices, {spacing} mm apart, no gap, but only {n} of {announced} announced images"
    " came.",
    "{slices} slices, {spacing} mm apart, no gap; {n} of {announced} announced images came.",
    "{slices} slices, {spacing} mm apart, no gap; all {announced} announced images came.",
    "{n} left out: another image has the same position.",
    "Read: {chosen}.",
    "{left_out} left out: {parts}.",
    *(proof.sentence for proof in ClosedBy if proof is not ClosedBy.QUIET),
)
"""Sentences of a statement, one behind the other."""

TEMPLATES = (
    "{n} missing after slice {slice} (at {position} mm)",
    "the largest of {n} parts, told apart by {attributes}",
    "the first of {n} volumes of the same stretch, told apart by {attributes}",
    "the only whole one of {n} volumes of the same stretch, told apart by {attributes}",
    "complete, proved",
    "complete as far as known",
    "incomplete",
    # the instances together
    "no valid UID (PS3.5 9.1): {names}",
    "of {n} instances some differ from most: {names}",
    "{left_out} left out: {parts}",
    "1 image",
    "{n} images",
    "Body Part Examined is {term}, a chest expected",
    # the scan
    "not measurable: {figures}",
    "{figure}, {high} or less expected",
    "{figure}, {low} to {high} expected",
    "distance between slices {value} mm",
    "distance between slices",
    "distance between pixels {value} mm",
    "distance between pixels",
    "noise in soft tissue {value} HU",
    "noise in soft tissue",
    "mean frequency of the noise {value} per mm",
    "mean frequency of the noise",
    "soft tissue {value} HU",
    "soft tissue",
    "upper quartile of the mediastinum {value} HU",
    "upper quartile of the mediastinum",
    "a lung on the first or last slice, as a share of its largest area, {value}",
    "a lung on the first or last slice, as a share of its largest area,",
    "distance {value} from what the model was made for",
    # the lungs
    "right lung: {figure}",
    "left lung: {figure}",
    "open lung: {figure}",
    "{figure}, expected {low} to {high}",
    "{value} L",
    "{value} right/left",
    "{value} mm",
    "{value} HU",
    "{value} of the outline",
    "{value} of the largest area as a dip between slices",
    "{value} of the mask outside the body",
    "{value} mm between the heights of the two apices",
    "{value} mm between the heights of the two bases",
    "{value} of its area lost between neighbouring slices",
    "{value} mm2 too wide on its highest slice",
    "{value} mm2 too wide on its lowest slice",
    "{value} of the chest behind the lung, without air",
    "{value} ml in one pocket of free gas",
    "{value} ml of lung whose side is open",
    "right lung of {value} ml, no left lung found",
    "left lung of {value} ml, no right lung found",
    "Dice {value} of two methods",
    "{value} of its area over 20 mm found by one method alone",
    # the score
    "{share} % of the lungs, the largest {volume} ml; named from {least_share} % or {least_volume}"
    " ml on",
    "the model is {certainty}",
    "the threshold ({point}) calls positive, but the score {certainty}",
    "the threshold ({point}) calls negative, but the score {certainty}",
    "not certain: neither fits ({coverage} % coverage)",
    "not certain: both possible ({coverage} % coverage)",
    "supports only 'positive' ({coverage} % coverage)",
    "supports only 'negative' ({coverage} % coverage)",
    # lists
    "{names} and {n} more",
    "{name} in {n}",
    "site",
    "default",
)
"""Sentences, clauses, and figures within them; a value is whatever else stands there."""

PLACEHOLDER = re.compile(r"\\{(\w+)\\}")
NUMBER = r"[-+]?(?:\d+(?:\.\d+)?(?:e[-+]\d+)?|inf|nan)"
NUMBERS = frozenset(
    {"n", "value", "low", "high", "coverage", "slices", "spacing", "announced", "slice", "position"}
    | {"share", "volume", "least_share", "least_volume"}
)
"""Placeholders that stand for a number; the others stand for words."""


def measured(text: str) -> str:
    """Write a sentence of the analysis in the language of the context.

    Returns
    -------
    str
        What has no template, such as a sentence of another version, stays English.
    """
    plain = in_ascii(text)
    return plain if current_language() is Language.ENGLISH else _statement(plain)


def _statement(text: str) -> str:
    """Translate sentence by sentence: a whole, else its longest beginning and the rest."""
    ends = [found.end() for found in re.finditer(r"\.(?= |$)", text)]
    for end in reversed(ends):
        if (translated := _by_template(text[:end], SENTENCES)) is not None:
            rest = text[end:].strip()
            return f"{translated} {_statement(rest)}" if rest else translated
    return _value(text)


def _value(text: str) -> str:
    if re.fullmatch(NUMBER, text):
        return with_decimal_mark(text)
    translated = _by_template(text, TEMPLATES)
    if translated is not None:
        return translated
    first, comma, rest = text.partition(", ")
    return f"{_value(first)}, {_value(rest)}" if comma else text


def _by_template(text: str, templates: tuple[str, ...]) -> str | None:
    for template in templates:
        if found := _pattern(template).fullmatch(text):
            values = {name: _value(value) for name, value in found.groupdict().items()}
            return _(template, **values)
    return None


@cache
def _pattern(template: str) -> re.Pattern[str]:
    def group(found: re.Match[str]) -> str:
        return f"(?P<{found[1]}>{NUMBER if found[1] in NUMBERS else '.+?'})"

    return re.compile(PLACEHOLDER.sub(group, re.escape(template)))
