"""Divide a report text into what it finds and what it concludes, and into sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum


class Section(Enum):
    """What a part of a report is for."""

    OTHER = "other"  #: question, history, technique, comparison: not what is found
    FINDINGS = "findings"
    CONCLUSION = "conclusion"


OTHER = (
    r"clinical (?:information|history|indication|data|question|context|details|background)",
    r"indications?",
    r"history",
    r"reason(?: for (?:the )?(?:exam|examination|study|referral|scan))?",
    r"technique",
    r"procedure",
    r"protocol",
    r"comparison",
    r"klinische angaben?",
    r"klinik",
    r"klinische fragestellung",
    r"fragestellung(?:en)?",
    r"(?:rechtfertigende )?indikation",
    r"anamnese",
    r"(?:untersuchungs)?technik",
    r"methodi?k?e?",
    r"voruntersuchung(?:en)?",
    r"vergleich",
    r"renseignements cliniques",
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
    r"diagnose",
    r"synthese",
    r"au total",
)
HEADING = re.compile(
    r"(?:^|(?<=[.;?!\n]))[ \t]*(?:"
    rf"(?P<other>{'|'.join(OTHER)})|(?P<findings>{'|'.join(FINDINGS)})|"
    rf"(?P<conclusion>{'|'.join(CONCLUSION)}))[ \t]*(?::|(?=\n)|$)"
)
SENTENCE = re.compile(r"[^.;!?\n]+(?:[.,](?=\d)[^.;!?\n]*)*[.;!?\n]?")
ENDED = re.compile(r"[.;:!?] *$")
OPEN = re.compile(
    r"(?:,|(?<!\w)(?:the|of|for|to|no|or|nor|and|in|a|an|with|without|from|der|die|das|des|den|dem|"
    r"ein|eine|einer|eines|einen|keine?|keinen|kein|auf|fuer|und|oder|noch|mit|ohne|von|im|bei|de|"
    r"d|du|une?|la|le|les|et|ou|ni|pas|sans|en|faveur|avec|aucune?)) *$"
)
GOES_ON = re.compile(r"(?:or|nor|and|of|oder|und|noch|sowie|ou|et|ni|de|d|der|des|von)(?!\w)")
WRAPPED = 50  #: characters of a line that goes on in the next one, where its end does not say


def sections(text: str) -> Iterator[tuple[Section, str]]:
    """Divide a text, as `normal` has written it; without headings all of it is findings."""
    place, section = 0, Section.FINDINGS
    for match in HEADING.finditer(text):
        yield section, text[place : match.start()]
        place, section = match.end(), Section(match.lastgroup or "")
    yield section, text[place:]


def sentences(text: str) -> list[str]:
    """Divide a section; lines that were broken for their length are joined."""
    return [one.strip(" \n") for one in SENTENCE.findall(_unwrapped(text)) if one.strip(" .;\n")]


def _unwrapped(text: str) -> str:
    lines = [line.strip() for line in text.split("\n")]
    parts: list[str] = []
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        goes_on = (
            bool(line and following)
            and not ENDED.search(line)
            and (len(line) >= WRAPPED or bool(OPEN.search(line) or GOES_ON.match(following)))
        )
        parts += [line, " " if goes_on else "\n"]
    return "".join(parts)
