"""Read what a report text says of pneumonia and COVID-19: pure, by rules, in memory.

A finding that is named is positive, unless a phrase of the sentence denies, doubts or dates it, or
asks for it. What a conclusion says goes before what the findings say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from pipeline.feedback.report_text.answers import ReportReading, Said
from pipeline.feedback.report_text.english import ENGLISH
from pipeline.feedback.report_text.findings import Mention, mentions, staged
from pipeline.feedback.report_text.french import FRENCH
from pipeline.feedback.report_text.german import GERMAN
from pipeline.feedback.report_text.normal import normal
from pipeline.feedback.report_text.sections import Section, sections, sentences
from pipeline.feedback.report_text.wording import Effect, Phrase, Wording, joined

LANGUAGES = (ENGLISH, GERMAN, FRENCH)
ANY = joined(LANGUAGES)
REACH = {
    Effect.ASKED: 6,
    Effect.HISTORY: 2,
    Effect.NEGATED: 10,
    Effect.UNCERTAIN: 8,
}
"""Words between a phrase and what follows it, at most."""
REACH_BACK = 6  #: words between a finding and a phrase behind it
LIST_ITEM = 2  #: words of an item of a list without "or", at most
WITH = re.compile(r"(?<!\w)(?:with|without|mit|ohne|avec|sans)(?!\w)")
ORDER = (Said.POSITIVE, Said.UNCERTAIN, Said.NEGATIVE)  #: of several mentions the first counts
SAID = {
    None: Said.POSITIVE,
    Effect.UNCERTAIN: Said.UNCERTAIN,
    Effect.NEGATED: Said.NEGATIVE,
    Effect.ASKED: Said.NOTHING,
    Effect.HISTORY: Said.NOTHING,
}


def read_report(text: str) -> ReportReading:
    """Read a report text in English, German or French."""
    plain = normal(text)
    wording = language_of(plain)
    parts = list(sections(plain))
    found = _read(parts, {Section.FINDINGS}, wording)
    concluded = _read(parts, {Section.CONCLUSION}, wording)
    return ReportReading(
        pneumonia=_first_said(concluded.pneumonia, found.pneumonia),
        covid_19=_first_said(concluded.covid_19, found.covid_19),
    )


def language_of(plain: str) -> Wording:
    """Choose the phrases of the language of which a text has the most common words."""
    words = re.findall(r"\w+", plain)
    counts = [sum(word in one.common for word in words) for one in LANGUAGES]
    most = max(counts)
    return ANY if counts.count(most) > 1 else LANGUAGES[counts.index(most)]


def _first_said(*said: Said) -> Said:
    return next((one for one in said if one is not Said.NOTHING), Said.NOTHING)


def _read(
    parts: Iterable[tuple[Section, str]], wanted: set[Section], wording: Wording
) -> ReportReading:
    pneumonia, covid_19 = set[Said](), set[Said]()
    for section, text in parts:
        if section in wanted:
            for sentence in sentences(text):
                covid_19.update(staged(sentence))
                for mention, said in _said(sentence, wording):
                    (covid_19 if mention.is_covid else pneumonia).add(said)
    return ReportReading(pneumonia=_strongest(pneumonia), covid_19=_strongest(covid_19))


def _strongest(said: set[Said]) -> Said:
    return next((one for one in ORDER if one in said), Said.NOTHING)


def _said(sentence: str, wording: Wording) -> Iterator[tuple[Mention, Said]]:
    """Yield what a sentence says of each finding that it names."""
    named = mentions(sentence)
    if not named:
        return
    before, after = wording.standing_before(sentence), wording.standing_after(sentence)
    for mention in named:
        said = SAID[_effect(mention, sentence, before, after, wording)]
        if said is Said.POSITIVE and sentence.endswith("?"):
            said = Said.UNCERTAIN
        if not mention.is_of_covid or said is Said.POSITIVE:
            yield mention, said


def _effect(
    mention: Mention,
    sentence: str,
    before: Iterable[Phrase],
    after: Iterable[Phrase],
    wording: Wording,
) -> Effect | None:
    """Decide what phrases make of a finding: the nearest one before it, and the one behind it."""
    reaching = [one for one in before if _reaches(one, mention, sentence, wording)]
    effects = {_of_two(reaching, sentence)} if reaching else set()
    behind = [one for one in after if _reaches_back(one, mention, sentence, wording)]
    effects |= {one.effect for one in behind[:1]}
    return next((one for one in Effect if one in effects), None)


def _of_two(reaching: list[Phrase], sentence: str) -> Effect:
    """Give the effect of the nearest phrase; one that denies the doubt itself denies."""
    *further, nearest = reaching
    if nearest.effect is Effect.UNCERTAIN and further:
        gap = sentence[further[-1].end : nearest.start]
        if further[-1].effect is Effect.NEGATED and _words(gap) <= 1 and "," not in gap:
            return Effect.NEGATED
    return nearest.effect


def _reaches(phrase: Phrase, mention: Mention, sentence: str, wording: Wording) -> bool:
    if phrase.end > mention.start:
        return False
    gap = sentence[phrase.end : mention.start]
    if wording.end.search(gap) or _words(gap) > REACH[phrase.effect]:
        return False
    if "," not in gap:
        return True
    if phrase.effect in {Effect.ASKED, Effect.HISTORY}:
        return False
    return wording.alternative.search(sentence, phrase.end) is not None or _is_list(
        sentence[phrase.end :], gap
    )


def _is_list(rest: str, gap: str) -> bool:
    """Say whether every item from a phrase to the one with the finding is short."""
    items = rest.split(",")[: gap.count(",") + 1]
    return all(_words(item) <= LIST_ITEM for item in items)


def _reaches_back(phrase: Phrase, mention: Mention, sentence: str, wording: Wording) -> bool:
    if phrase.start < mention.end:
        return False
    gap = sentence[mention.end : phrase.start]
    if wording.end.search(gap) or WITH.search(gap) or _words(gap) > REACH_BACK:
        return False
    return "," not in gap or (phrase.effect is Effect.UNCERTAIN and gap.strip() == ",")


def _words(text: str) -> int:
    return len(re.findall(r"\w+", text))
