"""Say whether a denial is surely understood: where it is not, a finding is uncertain.

A finding is denied only by a phrase that is next to it, with nothing between but words that belong
to it, and nothing in its clause that denies once more, doubts, or speaks of a change. These words
are of all languages together: one too many makes a finding uncertain, never its opposite.
"""

from __future__ import annotations

import re

from pipeline.feedback.report_text.wording import Phrase, Wording, any_of

SURE_WORDS = 6  #: between a phrase and what it denies, at most
ITEM_WORDS = 3  #: of each item of a list that is denied, at most
UNSURE_STOP = "\ue000"  #: a full stop that may be one of an abbreviation, or a line that may go on

NEGATION = any_of(
    (
        r"not?|none|nothing|cannot|can t|never|without|nicht\w*|keine?\w*|ohne|nie(?:mals)?|pas|"
        r"sans|ne|n|non|"
        r"aucun\w*|jamais|rien|hardly|kaum|schwer\w*|difficil\w*|difficult|impossib\w*|"
        r"unmoeglich\w*|unable|"
        r"insuffic\w*|fail\w*|incomplet\w*|unvollstaendig\w*|bedingt|limited|eingeschraenkt\w*",
    )
)
EXCLUSION = any_of(
    (
        r"exclu[dst]\w*|exclue?s?|exclure|rul\w+ (?:\w+ ){0,4}out|ausschl\w+|auszuschl\w+|"
        r"ausgeschl\w+|elimin\w+|"
        r"ecart\w+|infirm\w+|discount\w*|dismiss\w*",
    )
)
SECOND_NEGATION = any_of((r"not|cannot|can t|never|nicht|nie(?:mals)?|pas|jamais|fail\w*",))
HEDGE = any_of(
    (
        r"wrong\w*|fals\w+|incorrect\w*|unzutreffend\w*|faux|would|waere|serait|"
        r"doubt\w*|question\w*|unclear|uncertain\w*|possib\w*|probab\w*|likely|suspect\w*|"
        r"suspic\w*|moeglich\w*|"
        r"(?:un)?wahrschein\w*|fraglich\w*|unklar\w*|unsicher\w*|verdacht\w*|vermut\w*|zweifel\w*|"
        r"incertain\w*|"
        r"doute\w*|suspicion\w*|eventuel\w*|vraisembl\w*|certain\w*|sicher\w*|sure|definit\w*|"
        r"bewies\w*|confirm\w*|"
        r"prov\w+|may|might|could|koennte\w*|pourrai\w*|perhaps|vielleicht|peut etre|entirely|"
        r"completely|fully|"
        r"vollstaendig\w*|completement|totalement",
    )
)
CHANGE = any_of(
    (
        r"improv\w*|wors\w*|resol\w*|deteriorat\w*|progress\w*|regress\w*|chang\w*|increas\w*|"
        r"decreas\w*|stab\w*|"
        r"clear(?:ed|ing)|amelior\w*|aggrav\w*|evolu\w*|augment\w*|dimin\w*|modifi\w*|dispar\w*|"
        r"\w*besser\w*|"
        r"\w*schlechter\w*|\w*aender\w*|\w*zunahm\w*|zunehm\w*|abnahm\w*|abnehm\w*|rueckbild\w*|"
        r"regredien\w*|"
        r"progredien\w*|ruecklaeuf\w*|zurueck\w*|encore|yet|still|weiterhin|toujours|grow\w*|"
        r"enlarg\w*|spread\w*|"
        r"ausbreit\w*|exten[ds]\w*|complicat\w*|komplik\w*",
    )
)
SEPARATE = any_of(
    (
        r"in|im|dans|en|within|with|mit|avec|at|on|during|waehrend|despite|trotz|malgre|due|"
        r"because|wegen|durch|par|"
        r"secondary|nach|after|apres|for|fuer|pour|as|als|comme|from|vom|and|und|et|sowie|plus|"
        r"that|which|dass|que|"
        r"qui|is|are|was|were|be|been|has|have|had|can|shows?|showing|shown|demonstrat\w*|"
        r"reveal\w*|ist|sind|war|"
        r"wird|hat|haben|kann|zeig\w*|est|sont|ont|peut|montr\w*|known|bekannt\w*|connue?s?|"
        r"preexisting|"
        r"vorbestehend\w*|previous\w*|prior|new|neue\w*|additional|further|more|weitere\w*|"
        r"zusaetzlich\w*|"
        r"nouve\w*|autres?|supplementaire\w*|surajoute\w*|other|andere\w*|longer|only|just|nur|"
        r"seulement|"
        r"unrelated|independent|to|zu|zum|zur|on",
    )
)
ANOTHER_TIME = any_of(
    (
        r"previous\w*|prior|earlier|before\w*|last|since|than|less|fewer|vorher\w*|vorbefund\w*|"
        r"voruntersuchung\w*|voraufnahme\w*|letzt\w*|frueher\w*|seit|weniger|damals|anterieur\w*|auparavant|"
        r"depuis|moins|precedent\w*",
    )
)
AWAY = any_of(
    (
        r"associ\w*|relat\w+|link\w*|caus\w*|begleit\w*|besides?|outside|ausserhalb|neben|sous|sur|chez|ueber|"
        r"unter|um|near|adjacent|around|pres|voisin\w*|au|aux|a la",
    )
)
"""Words of place and cause: what is denied stands before them."""
OTHER_SUBJECT = any_of((r"with\w*|mit|ohne|avec|sans|a|pcr|tests?|abstrich\w*|antigen\w*",))
"""Words between a finding and a phrase behind it, that may be of something else."""
FOLLOWS = any_of(
    (
        r"in|im|on|at|any|mehr|today|now|heute|jetzt|anymore|by|this|these|ce|cet|cette|sur|dans|aujourd|a|to|from|"
        r"werden|worden|auf",
    )
)
"""Words that may follow a phrase behind a finding; another may be what it is about."""
CARRIER = (
    r"(?:evidence|signs?|foc(?:us|i|al)|areas?|features?|findings?|pattern|patterns|stigmata|"
    r"foyers?|images?|signes?|"
    r"arguments?|lesions?|aspects?|elements?|plages?|zones?|nachweis|zeichen|anhalt|hinweise?|"
    r"korrelat|bild|herde?|"
    r"ou|or|ni|nor|oder|noch|et|type|typ)"
)
OF_ANOTHER = re.compile(rf"(?<!\w)(?!{CARRIER} )\w{{2,}} (?:of|de|du|des|d|der|eine[rs]|von)(?!\w)")
"""A noun that the denied word belongs to: "no complication of the pneumonia"."""


def is_exclusion_refused(sentence: str) -> bool:
    """Say whether a sentence has both a word that excludes and one that negates, in any order."""
    return bool(EXCLUSION.search(sentence) and NEGATION.search(sentence))


def is_sure_before(phrase: Phrase, start: int, end: int, sentence: str, wording: Wording) -> bool:
    """Say whether a phrase surely denies the finding from `start` to `end` behind it."""
    gap = sentence[phrase.end : start]
    if (
        UNSURE_STOP in gap
        or ":" in gap
        or SEPARATE.search(gap)
        or AWAY.search(gap)
        or OF_ANOTHER.search(gap)
    ):
        return False
    if "," not in gap and len(re.findall(r"\w+", gap)) > SURE_WORDS:
        return False
    if "," in gap and not _is_list(sentence[phrase.end :], gap, end - phrase.end, wording):
        return False
    return _is_clause_plain(_lead(sentence[: phrase.start]), gap + _tail(sentence[end:], wording))


def is_sure_after(phrase: Phrase, end: int, sentence: str, wording: Wording) -> bool:
    """Say whether a phrase surely denies the finding before it, that ends at `end`."""
    gap = sentence[end : phrase.start]
    if UNSURE_STOP in gap or "," in gap or len(re.findall(r"\w+", gap)) > SURE_WORDS:
        return False
    tail = _tail(sentence[phrase.end :], wording)
    following = re.search(r"\w+", tail)
    if OTHER_SUBJECT.search(gap) or (following and not FOLLOWS.fullmatch(following[0])):
        return False
    return _is_clause_plain("", gap + tail)


def _is_clause_plain(lead: str, rest: str) -> bool:
    """Say whether what stands before a denial, and behind it, leaves it as it is."""
    if SECOND_NEGATION.search(lead) or HEDGE.search(lead):
        return False
    return not any(one.search(rest) for one in (SECOND_NEGATION, HEDGE, CHANGE, ANOTHER_TIME))


def _lead(text: str) -> str:
    """Give the end of a text from its last comma, colon or full stop."""
    return re.split(rf"[,:{UNSURE_STOP}]", text)[-1]


def _tail(text: str, wording: Wording) -> str:
    """Give the beginning of a text until its first comma, "and", or word that ends a reach."""
    found = wording.end.search(text)
    until = text[: found.start()] if found else text
    return re.split(rf"[,{UNSURE_STOP}]|(?<!\w)(?:and|und|et)(?!\w)", until)[0]


def _is_list(rest: str, gap: str, end: int, wording: Wording) -> bool:
    """Say whether a finding is an item of a list of short items, joined by "or"."""
    items = gap.split(",")
    if any(len(re.findall(r"\w{3,}", one)) > ITEM_WORDS for one in items):
        return False
    return bool(
        wording.alternative.search(items[-1]) or wording.alternative.match(rest[end:].lstrip(", "))
    )
