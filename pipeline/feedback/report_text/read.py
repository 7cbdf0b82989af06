"""Read what a report text says of pneumonia and COVID-19: pure, by rules, in memory.

A finding that is named is positive, unless a phrase of the sentence denies, doubts or dates it, or
asks for it. What a conclusion says goes before what the findings say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from pipeline.feedback.report_text.answers import ReportReading, Said
from pipeline.feedback.report_text.denial import (
    UNSURE_STOP,
    is_exclusion_refused,
    is_sure_after,
    is_sure_before,
)
from pipeline.feedback.report_text.english import ENGLISH
from pipeline.feedback.report_text.findings import Mention, mentions, stages
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
LIST_ITEM = 2  #: words of an item of a list without "or", at most
REACH_BACK = 6  #: words between a finding and a phrase behind it
FAR = 30  #: words over which a phrase that does not surely deny makes a finding uncertain
MOST_AWAY = 300  #: characters between a phrase and a finding, at most
LONGEST = 500  #: characters of a sentence that is understood; of a longer one all is uncertain
MOST_OVERLAP = 40  #: characters of the name of a finding, at most, where a long sentence is cut
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
    reading = ReportReading(
        pneumonia=_first_said(concluded.pneumonia, found.pneumonia),
        covid_19=_first_said(concluded.covid_19, found.covid_19),
    )
    is_denied = concluded.pneumonia is Said.NEGATIVE and concluded.covid_19 is Said.NOTHING
    if is_denied and found.covid_19 is Said.POSITIVE:
        return replace(reading, covid_19=Said.UNCERTAIN)
    return reading


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
    pneumonia, covid_19, categories = set[Said](), set[Said](), set[Said]()
    for section, text in parts:
        if section in wanted:
            for sentence in sentences(text):
                for mention, said in _said_bounded(sentence, wording):
                    (covid_19 if mention.is_covid else pneumonia).add(said)
                    if mention.stage is not None:
                        categories.add(mention.stage)
    if len(categories) > 1:  # a legend, or that of an earlier report
        covid_19 = {Said.UNCERTAIN}
    return ReportReading(pneumonia=_strongest(pneumonia), covid_19=_strongest(covid_19))


def _strongest(said: set[Said]) -> Said:
    return next((one for one in ORDER if one in said), Said.NOTHING)


def _said_bounded(sentence: str, wording: Wording) -> Iterator[tuple[Mention, Said]]:
    """Yield what a sentence says; of one too long to understand all is uncertain."""
    if len(sentence) <= LONGEST:
        yield from _said(sentence, wording)
        return
    for start in range(0, len(sentence), LONGEST):
        piece = sentence[start : start + LONGEST + MOST_OVERLAP]
        for mention in (*mentions(piece), *stages(piece)):
            yield mention, Said.UNCERTAIN


def _said(sentence: str, wording: Wording) -> Iterator[tuple[Mention, Said]]:
    """Yield what a sentence says of each finding that it names."""
    named = [*mentions(sentence), *stages(sentence)]
    if not named:
        return
    before, after = wording.standing_before(sentence), wording.standing_after(sentence)
    is_refused = is_exclusion_refused(sentence)
    for mention in named:
        effect = _effect(mention, sentence, before, after, wording)
        said = SAID[effect]
        if mention.stage is not None:
            said = mention.stage if effect is None else Said.UNCERTAIN
        elif is_refused or (said is not Said.NOTHING and sentence.endswith("?")):
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
    reaching = [one for one in before if _reaches(one, mention, sentence, wording)][-2:]
    effects = {_of_two(reaching, mention, sentence, wording)} if reaching else set()
    behind = next((one for one in after if _reaches_back(one, mention, sentence, wording)), None)
    if behind is not None:
        effects.add(_of_behind(behind, mention, sentence, wording))
    return next((one for one in Effect if one in effects), None)


def _of_two(reaching: list[Phrase], mention: Mention, sentence: str, wording: Wording) -> Effect:
    """Give the effect of the nearest phrase; one that denies the doubt itself denies."""
    *further, nearest = reaching
    phrase = nearest
    if nearest.effect is Effect.UNCERTAIN and further:
        gap = sentence[further[-1].end : nearest.start]
        if further[-1].effect is Effect.NEGATED and _words(gap) <= 1 and "," not in gap:
            phrase = replace(further[-1], end=nearest.end)
    gap = sentence[phrase.end : mention.start]
    is_near = UNSURE_STOP not in gap and _words(gap) <= REACH[phrase.effect]
    if phrase.effect is Effect.NEGATED:
        is_near = is_sure_before(phrase, mention.start, mention.end, sentence, wording)
    return phrase.effect if is_near else Effect.UNCERTAIN


def _of_behind(phrase: Phrase, mention: Mention, sentence: str, wording: Wording) -> Effect:
    gap = sentence[mention.end : phrase.start]
    is_sure = UNSURE_STOP not in gap and (
        phrase.effect is not Effect.NEGATED or is_sure_after(phrase, mention.end, sentence, wording)
    )
    return phrase.effect if is_sure else Effect.UNCERTAIN


def _reaches(phrase: Phrase, mention: Mention, sentence: str, wording: Wording) -> bool:
    if not 0 <= mention.start - phrase.end <= MOST_AWAY:
        return False
    gap = sentence[phrase.end : mention.start]
    denies = phrase.effect is Effect.NEGATED
    if wording.end.search(gap) or _words(gap) > (FAR if denies else REACH[phrase.effect]):
        return False
    if "," not in gap:
        return True
    if phrase.effect in {Effect.ASKED, Effect.HISTORY}:
        return False
    return _may_be_list(gap, sentence[mention.end :], wording)


def _may_be_list(gap: str, rest: str, wording: Wording) -> bool:
    """Say whether a finding may belong to the list that a phrase begins."""
    first, *_, last = gap.split(",")
    following = re.split(r"[,.]", rest)[0]
    return (
        gap.count(",") > 1
        or wording.alternative.search(gap) is not None
        or wording.alternative.search(" ".join(following.split()[:3])) is not None
        or (_words(first) <= LIST_ITEM and _words(last) + 1 + _words(following) <= LIST_ITEM)
    )


def _reaches_back(phrase: Phrase, mention: Mention, sentence: str, wording: Wording) -> bool:
    if not 0 <= phrase.start - mention.end <= MOST_AWAY:
        return False
    gap = sentence[mention.end : phrase.start]
    if wording.end.search(gap):
        return False
    if phrase.effect is Effect.NEGATED:
        return "," not in gap or gap.count(",") > 1 or _words(gap.rpartition(",")[2]) <= 1
    if WITH.search(gap) or _words(gap) > REACH_BACK:
        return False
    return "," not in gap or (phrase.effect is Effect.UNCERTAIN and gap.strip() == ",")


def _words(text: str) -> int:
    return len(re.findall(r"\w+", text))
