"""Divide a report text into what it finds and what it concludes, and into sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum

from pipeline.feedback.report_text.denial import UNSURE_STOP
from pipeline.feedback.report_text.normal import SMALL


class Section(Enum):
    """What a part of a report is for."""

    OTHER = "other"  #: question, history, technique, comparison: not what is found
    FINDINGS = "findings"
    CONCLUSION = "conclusion"


OTHER = (
    r"clinical \w+",
    r"indications?(?: cliniques?)?",
    r"(?:past )?(?:medical )?history",
    r"pmh",
    r"reason(?: for (?:the )?(?:exam|examination|study|referral|scan))?",
    r"question",
    r"technique",
    r"procedure",
    r"protocol",
    r"comparison",
    r"klinische? \w+",
    r"klinik",
    r"fragestellung(?:en)?",
    r"frage",
    r"(?:rechtfertigende )?indikation(?:en)?",
    r"\w*anamnese",
    r"\w*diagnosen?",
    r"diagnos[ie]s",
    r"(?:untersuchungs)?technik",
    r"methodi?k?e?",
    r"voruntersuchung(?:en)?",
    r"vergleich",
    r"(?:renseignements?|donnees|informations?) cliniques?",
    r"antecedents?",
    r"motif",
    r"contexte(?: clinique)?",
    r"histoire(?: de la maladie)?",
    r"protocole",
    r"comparaison",
)
FINDINGS = (
    r"findings",
    r"report",
    r"befunde?",
    r"results?",
    r"resultats?",
    r"description",
    r"compte rendu",
)
CONCLUSION = (
    r"impression",
    r"conclusions?",
    r"opinion",
    r"summary",
    r"assessment",
    r"interpretation",
    r"(?:zusammenfassende )?beurteilung",
    r"zusammenfassung",
    r"synthese",
    r"au total",
)
BEGIN = rf"(?:^|(?<=[.;?!\n{UNSURE_STOP}]))[ \t{SMALL}]*"
NAME = "|".join((*OTHER, *FINDINGS, *CONCLUSION))
AND = r"[ \t]*(?:/|,|&|(?<!\w)(?:und|and|et)(?!\w))[ \t]*"
HEADING = re.compile(rf"{BEGIN}(?P<names>(?:{NAME})(?:{AND}(?:{NAME})){{0,2}})[ \t]*(?::|(?=\n)|$)")
IS_FINDINGS = re.compile(rf"(?<!\w)(?:{'|'.join(FINDINGS)})(?!\w)")
IS_CONCLUSION = re.compile(rf"(?<!\w)(?:{'|'.join(CONCLUSION)})(?!\w)")
IS_OTHER = re.compile(rf"(?:{'|'.join(OTHER)})(?:{AND}(?:{'|'.join(OTHER)}))*")
SENTENCE = re.compile(r"[^.;!?\n]+(?:[.,](?=\d)[^.;!?\n]*)*[.;!?\n]?")
ENDED = re.compile(r"[.;:!?] *$")
OPEN = re.compile(
    r"(?:,|(?<!\w)(?:the|of|for|to|no|or|nor|and|in|a|an|with|without|from|der|die|das|des|den|dem|"
    r"ein|eine|einer|eines|einen|keine?|keinen|kein|auf|fuer|und|oder|noch|mit|ohne|von|im|bei|de|"
    r"d|du|une?|la|le|les|et|ou|ni|pas|sans|en|faveur|avec|aucune?)) *$"
)
GOES_ON = re.compile(r"(?:or|nor|and|of|oder|und|noch|sowie|ou|et|ni|de|d|der|des|von)(?!\w)")
WRAPPED = 50  #: characters of a line that surely goes on, where the next has a small letter


def sections(text: str) -> Iterator[tuple[Section, str]]:
    """Divide a text, as `normal` has written it.

    Without headings all of it is findings; where findings have a heading, what stands before the
    first one is for something else.
    """
    found = [(one, _section(one["names"])) for one in HEADING.finditer(text)]
    has_findings = any(section is Section.FINDINGS for _, section in found)
    place, section = 0, Section.OTHER if has_findings else Section.FINDINGS
    for match, following in found:
        yield section, text[place : match.start()]
        place, section = match.end(), following
    yield section, text[place:]


def _section(names: str) -> Section:
    """Say for what a heading stands; one of several names for the findings where it may be."""
    if IS_OTHER.fullmatch(names):
        return Section.OTHER
    if IS_FINDINGS.search(names):
        return Section.FINDINGS
    return Section.CONCLUSION if IS_CONCLUSION.search(names) else Section.OTHER


def sentences(text: str) -> list[str]:
    """Divide a section; lines that were broken for their length are joined."""
    return [
        one.strip(f" {UNSURE_STOP}\n")
        for one in SENTENCE.findall(_unwrapped(text))
        if one.strip(f" .;{UNSURE_STOP}\n")
    ]


def _unwrapped(text: str) -> str:
    """Join lines: surely where one is open, else, without a full stop, with `UNSURE_STOP`."""
    lines = [line.strip() for line in text.split("\n")]
    parts: list[str] = []
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        parts += [line.removeprefix(SMALL), _joint(line, following)]
    return "".join(parts)


def _joint(line: str, following: str) -> str:
    if not line or not following or ENDED.search(line):
        return "\n"
    is_wrapped = len(line) >= WRAPPED and following.startswith(SMALL)
    goes_on = is_wrapped or OPEN.search(line) or GOES_ON.match(following.removeprefix(SMALL))
    return " " if goes_on else f"{UNSURE_STOP} "
