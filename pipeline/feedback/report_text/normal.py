"""Write a report text in one form: lower case, plain letters, abbreviations written out."""

from __future__ import annotations

import re
import unicodedata

UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "œ": "oe", "æ": "ae"})
JOINERS = re.compile(r"['’`´‑–—-]")
BLANKS = re.compile(r"[^\S\n]+")
BULLET = re.compile(r"\n[^\S\n]*(?:[-*•–‣]|\d{1,2}[.)])[^\S\n]+")

ABBREVIATIONS = tuple(
    (re.compile(rf"(?<!\w){pattern}"), words)
    for pattern, words in (
        (r"v\. ?a\.", "verdacht auf"),
        (r"(?:z\. ?n\.|zn\.)", "zustand nach"),
        (r"(?:st\. ?p\.|s/p)", "status post"),
        (r"st\. ?n\.", "status nach"),
        (r"h/o", "history of"),
        (r"r/o", "rule out"),
        (r"o\. ?b\.", "unauffaellig"),
        (r"i\. ?s\.(?: ?(?:e|d|v)\.)?", "im sinne"),
        (r"dd(?: ?:|(?!\w))", "differentialdiagnose "),
        (
            r"(?:z\. ?b|ca|u\. ?a|bzw|ggf|evtl|bds|re|li|max|resp|cf|dr|d\. ?h|o\. ?g|s\. ?o|n)\.",
            " ",
        ),
        (r"vs\.", "vs"),
        (r"no\. ?(?=\d)", "number "),
    )
)
"""What holds full stops that end no sentence, and what it stands for."""


def normal(text: str) -> str:
    """Write a text in lower case, without accents and hyphens, and with umlauts spelt out.

    Lines stay lines; an empty line stands before each item of a list.
    """
    text = BULLET.sub("\n\n", "\n" + text.replace("\r\n", "\n").replace("\r", "\n"))
    text = unicodedata.normalize("NFKC", text).casefold().translate(UMLAUTS)
    apart = unicodedata.normalize("NFKD", text)
    text = "".join(one for one in apart if not unicodedata.combining(one))
    text = BLANKS.sub(" ", JOINERS.sub(" ", text))
    for pattern, words in ABBREVIATIONS:
        text = pattern.sub(words, text)
    return BLANKS.sub(" ", text)
