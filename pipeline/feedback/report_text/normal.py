"""Write a report text in one form: lower case, plain letters, abbreviations written out."""

from __future__ import annotations

import re
import unicodedata

from pipeline.feedback.report_text.denial import UNSURE_STOP

UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "œ": "oe", "æ": "ae"})
JOINERS = re.compile(r"['’`´‑–—-]")
BLANKS = re.compile(r"[^\S\n]+")
BULLET = re.compile(r"\n[^\S\n]*(?:[-*•–‣]|\d{1,2}[.)])[^\S\n]+")

ABBREVIATIONS = tuple(
    (re.compile(rf"(?<!\w){pattern}", re.IGNORECASE), words)
    for pattern, words in (
        (r"v\. ?a\.", "verdacht auf"),
        (r"(?:z\. ?n\.|zn\.)", "zustand nach"),
        (r"(?:st\. ?p\.|s/p)", "status post"),
        (r"st\. ?n\.", "status nach"),
        (r"z\. ?a\.", "zum ausschluss"),
        (r"h/o", "history of"),
        (r"hx\.?(?: of)?(?!\w)", "history of"),
        (r"atcd\.?(?: de)?", "antecedent de"),
        (r"(?:poss|prob)\.", "possible"),
        (r"susp\.", "suspected"),
        (r"hinw\.", "hinweis"),
        (r"n\. (?=nachw|abgr|erk|sicht|vorh)", "nicht "),
        (r"r/o", "rule out"),
        (r"o\. ?b\.", "unauffaellig"),
        (r"i\. ?s\.(?: ?(?:e|d|v)\.)?", "im sinne"),
        (r"dd(?: ?:|(?!\w))", "differentialdiagnose "),
        (
            r"(?:z\. ?b|ca|u\. ?a|bzw|ggf|evtl|bds|re|li|max|resp|cf|dr|d\. ?h|o\. ?g|s\. ?o|n)\.",
            f"{UNSURE_STOP} ",
        ),
        (r"vs\.", "vs"),
        (r"no\. ?(?=\d)", "number "),
    )
)
"""What holds full stops that end no sentence, and what it stands for."""


SMALL = "\ue001"  #: stands before a line that begins with a small letter
MARKS = re.compile(f"[{UNSURE_STOP}{SMALL}]")
SMALL_LINE = re.compile(r"(?<=\n)[^\S\n]*(?=[a-zà-öø-ÿ])")
MAYBE_ABBREVIATION = re.compile(
    r"(?<![^\W\d_])(?:"
    r"(?![A-Z]{2,}\.)[^\W\d_]{1,5}\.(?=[ ][^\W\d_])|"  # "No sig. infiltrate"
    r"[^\W\d_]{1,8}\.(?=[ \n][a-zà-öø-ÿ])"  # "intersti. infiltrate"
    r")"
)
GERMAN_ADJECTIVE = re.compile(
    r"(?<!\w)([Kk]ein(?:e|en|er|es|em)? (?:[a-zäöüß]+ )?[a-zäöüß]+)\.(?= \w)"
)
"""No noun follows before the full stop, for a noun begins with a capital."""


def normal(text: str) -> str:
    """Write a text in lower case, without accents and hyphens, and with umlauts spelt out.

    Lines stay lines; an empty line stands before each item of a list. A full stop that may be that
    of an abbreviation is `UNSURE_STOP`, and a line that begins with a small letter with `SMALL`.
    """
    text = BULLET.sub("\n\n", "\n" + text.replace("\r\n", "\n").replace("\r", "\n"))
    text = MARKS.sub(" ", unicodedata.normalize("NFKC", text))
    text = BLANKS.sub(" ", JOINERS.sub(" ", text))
    for pattern, words in ABBREVIATIONS:
        text = pattern.sub(words, text)
    text = MAYBE_ABBREVIATION.sub(lambda one: f"{one[0][:-1]}{UNSURE_STOP}", text)
    text = GERMAN_ADJECTIVE.sub(rf"\1{UNSURE_STOP}", text)
    text = SMALL_LINE.sub(SMALL, text).casefold().translate(UMLAUTS)
    apart = unicodedata.normalize("NFKD", text)
    text = "".join(one for one in apart if not unicodedata.combining(one))
    return BLANKS.sub(" ", text)
