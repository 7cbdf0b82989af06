"""Phrases of a language that deny, doubt, or date a finding (after NegEx and ConText).

Chapman et al. 2001, doi:10.1006/jbin.2001.1029; Harkema et al. 2009, doi:10.1016/j.jbi.2009.05.002.
Phrases are regular expressions of whole words, of text as `pipeline.feedback.report_text.normal`
writes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum


class Effect(Enum):
    """What a phrase makes of a finding."""

    ASKED = "asked"  #: a question, or what was done to answer one
    HISTORY = "history"  #: of another time
    NEGATED = "negated"
    UNCERTAIN = "uncertain"
    NONE = "none"  #: looks like another phrase, and is none: "no change"


Phrases = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrase:
    """A phrase in a sentence, by the places of its first character and of what follows it."""

    start: int
    end: int
    effect: Effect


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """Phrases of one language.

    Attributes
    ----------
    common
        Words by which a text is known to be of the language.
    before, after
        Phrases that stand before, or after, what they are about, by their effect.
    none
        Phrases that have no effect, and take the place of shorter ones in them.
    ends
        Words that end the reach of a phrase.
    alternatives
        Words that join the items of a list: what denies the first denies the last.
    """

    common: frozenset[str]
    before: Mapping[Effect, Phrases]
    after: Mapping[Effect, Phrases]
    none: Phrases
    ends: Phrases
    alternatives: Phrases
    end: re.Pattern[str] = field(init=False, repr=False, compare=False)
    alternative: re.Pattern[str] = field(init=False, repr=False, compare=False)
    _before: dict[Effect, re.Pattern[str]] = field(init=False, repr=False, compare=False)
    _after: dict[Effect, re.Pattern[str]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Compile the phrases."""
        none = {Effect.NONE: any_of(self.none)}
        for name, phrases in (("_before", self.before), ("_after", self.after)):
            compiled = none | {effect: any_of(words) for effect, words in phrases.items()}
            object.__setattr__(self, name, compiled)
        object.__setattr__(self, "end", any_of(self.ends))
        object.__setattr__(self, "alternative", any_of(self.alternatives))

    def standing_before(self, sentence: str) -> list[Phrase]:
        """Find the phrases that are about what follows them, in their order."""
        return _longest(sentence, self._before)

    def standing_after(self, sentence: str) -> list[Phrase]:
        """Find the phrases that are about what precedes them, in their order."""
        return _longest(sentence, self._after)


def _longest(sentence: str, patterns: Mapping[Effect, re.Pattern[str]]) -> list[Phrase]:
    """Find phrases; of those that overlap the longest."""
    found = sorted(_all(sentence, patterns), key=lambda one: (one.start - one.end, one.start))
    taken = bytearray(len(sentence))
    kept: list[Phrase] = []
    for one in found:
        if not any(taken[one.start : one.end]):
            taken[one.start : one.end] = b"\1" * (one.end - one.start)
            kept.append(one)
    return sorted((one for one in kept if one.effect is not Effect.NONE), key=lambda it: it.start)


def _all(sentence: str, patterns: Mapping[Effect, re.Pattern[str]]) -> Iterator[Phrase]:
    for effect, pattern in patterns.items():
        for match in pattern.finditer(sentence):
            yield Phrase(start=match.start(), end=match.end(), effect=effect)


def words_in(text: str) -> frozenset[str]:
    """List the words of a text."""
    return frozenset(text.split())


def any_of(phrases: Iterable[str]) -> re.Pattern[str]:
    """Compile phrases as whole words, the longest first."""
    longest_first = sorted(phrases, key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(longest_first)})(?!\w)")


def joined(wordings: Iterable[Wording]) -> Wording:
    """Join the phrases of languages, for a text of which the language is not known."""
    every = tuple(wordings)

    def by_effect(maps: Iterable[Mapping[Effect, Phrases]]) -> dict[Effect, Phrases]:
        phrases: dict[Effect, Phrases] = {}
        for one in maps:
            for effect, words in one.items():
                phrases[effect] = (*phrases.get(effect, ()), *words)
        return phrases

    return Wording(
        common=frozenset(word for one in every for word in one.common),
        before=by_effect(one.before for one in every),
        after=by_effect(one.after for one in every),
        none=tuple(phrase for one in every for phrase in one.none),
        ends=tuple(phrase for one in every for phrase in one.ends),
        alternatives=tuple(phrase for one in every for phrase in one.alternatives),
    )
