"""Find where a sentence names pneumonia or COVID-19."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.feedback.report_text.answers import Said
from pipeline.feedback.report_text.wording import words_in

COVID = re.compile(
    r"(?<!\w)(?:covid\w*(?: ?19(?!\d))?|sars ?cov ?2?|2019 ncov|ncov|"
    r"corona ?virus\w*|corona ?(?:pneumoni|infekt|infect)\w*)"
)
PNEUMONIA = re.compile(
    r"(?<!\w)(?!post)(?:\w*pneumoni(?:a|as|e|es|en|c|que|ques|sche?[rsnm]?)|lungenentzuendung(?:en)?|"
    r"(?!tumor)\w*infiltrat(?:e|es|s|en)?(?! (?:the|into|of the liver))|"
    r"(?:covid|viral|infectious) pneumonitis|"
    r"(?:broncho ?)?pneumopathies?(?! (?:\w+ )?(?:chronique|interstitielle|fibros\w*|radique|"
    r"medicamenteuse|organisee))(?! d hypersensibilite)|foyers? (?:infectieux|pneumoniques?))(?!\w)"
)
OTHER_PNEUMONIA = re.compile(
    r"(?:organi[sz]ing|organisierende[rsn]?|"
    r"(?:usual|non ?specific|idiopathic|lymphoid|desquamative)"
    r" interstitial|(?:unspezifische|gewoehnliche|idiopathische)[rsn]? interstitielle[rsn]?|"
    r"eosinophil\w*|hypersensitivity|fatty) $"
)
"""What makes a pneumonia none of an infection, before it."""
OTHER_BEHIND = re.compile(
    r" (?:organisee|interstitielle (?:commune|non specifique)|a eosinophiles)"
)
OF_A_TEST = (
    "(?:vaccin|impf|geimpft|test|pcr|abstrich|schnelltest|screening|antigen|antibod|antikoerper|"
    "serolog)"
)
OF_THE_WORLD = "(?:kontakt|contact|exposure|exposition|station|ward|pandemi|unit|protoco|protokol)"
NO_DISEASE_BEHIND = re.compile(rf"(?: \w+)? ?(?:{OF_A_TEST}|{OF_THE_WORLD})\w*")
"""A vaccination, a test, a ward: not what the images show."""
NO_DISEASE_BEFORE = re.compile(rf"(?<!\w){OF_A_TEST}\w*(?: \w+){{0,3}} $")
CATEGORY = re.compile(
    r"(?<!\w)co ?rads(?: (?:category|score|kategorie|klasse|grad))? ?[:=]? ?([1-6])(?!\d)"
)
CATEGORIES = {
    "1": Said.NEGATIVE,
    "2": Said.NEGATIVE,
    "3": Said.UNCERTAIN,
    "4": Said.UNCERTAIN,
    "5": Said.POSITIVE,
    "6": Said.POSITIVE,
}
"""CO-RADS: very low, low, equivocal, high, very high, proven (doi:10.1148/radiol.2020201473)."""
BETWEEN = words_in(
    "19 a au aux de du d la le l due to from by with typ type typische typischen typischer "
    "typisches typical typique typiques associated assoziierte assoziierten bedingte bedingten "
    "related durch bei infektion infection viral virale viralen lie liee liees associe associee"
)
"""Words that stand between COVID-19 and a pneumonia that is said to be of it."""
MOST_BETWEEN = 5  #: of those


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    """Where a finding is named.

    Attributes
    ----------
    is_covid
        COVID-19; else pneumonia.
    is_of_covid
        A pneumonia that is said to be of COVID-19: to deny it does not deny every pneumonia.
    stage
        What a category of CO-RADS says; None where there is none.
    """

    start: int
    end: int
    is_covid: bool
    is_of_covid: bool = False
    stage: Said | None = None


def mentions(sentence: str) -> list[Mention]:
    """Find the findings that a sentence names."""
    covid = [
        Mention(start=one.start(), end=one.end(), is_covid=True)
        for one in COVID.finditer(sentence)
        if not NO_DISEASE_BEHIND.match(sentence, one.end())
        and not NO_DISEASE_BEFORE.search(sentence[: one.start()])
    ]
    return [*covid, *_pneumonias(sentence, covid)]


def _pneumonias(sentence: str, covid: list[Mention]) -> Iterator[Mention]:
    for one in PNEUMONIA.finditer(sentence):
        start, end = one.span()
        if OTHER_PNEUMONIA.search(sentence[:start]) or OTHER_BEHIND.match(sentence, end):
            continue
        yield Mention(
            start=start,
            end=end,
            is_covid=False,
            is_of_covid=any(_are_one(sentence, start, end, other) for other in covid),
        )


def _are_one(sentence: str, start: int, end: int, covid: Mention) -> bool:
    """Say whether a pneumonia and COVID-19 are named as one: in one word, or side by side."""
    if covid.start < end and start < covid.end:
        return True
    between = sentence[covid.end : start] if covid.end <= start else sentence[end : covid.start]
    words = re.findall(r"\w+", between)
    return len(words) <= MOST_BETWEEN and BETWEEN.issuperset(words)


def stages(sentence: str) -> Iterator[Mention]:
    """Yield the categories of CO-RADS that a sentence gives."""
    for one in CATEGORY.finditer(sentence):
        yield Mention(start=one.start(), end=one.end(), is_covid=True, stage=CATEGORIES[one[1]])
