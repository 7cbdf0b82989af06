"""Read who is told of what: a file with one rule a line, subjects and a URL of Apprise."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from dicom_node.errors import NodeError

MAXIMUM_BYTES = 1 << 16  #: of the file
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")


class Subject(StrEnum):
    """Subject of a message."""

    FAULTS = "faults"  #: parts of the node that are out of order
    FAILURES = "failures"  #: series that failed: by their analysis, or by a refused delivery
    BACKLOG = "backlog"  #: series, or results for a destination, that wait for too long
    POSITIVES = "positives"  #: results with the answer above; indeterminate ones are told to nobody


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """Who is told of which subjects.

    Attributes
    ----------
    line
        1-based, in the file; the first of those with the URL.
    url
        As Apprise takes it; it may hold a password.
    """

    line: int
    subjects: frozenset[Subject]
    url: str = field(repr=False)

    @property
    def name(self) -> str:
        """Name without a secret: place in the file, and kind of service."""
        return f"recipient in line {self.line} ({self.url.partition(':')[0]})"

    @property
    def key(self) -> str:
        """Digest of the URL, by which it is remembered what was told."""
        return hashlib.sha256(self.url.encode()).hexdigest()[:16]


def read_recipients(file: Path) -> tuple[Recipient, ...]:
    """Read the rules; blank lines, and those that begin with '#', mean nothing.

    Lines with the same URL are one recipient, of all their subjects.

    Raises
    ------
    NodeError
        If the file cannot be read, or a line is no rule; it is not quoted, for it may hold a
        password.
    """
    try:
        with file.open("rb") as stream:
            text = stream.read(MAXIMUM_BYTES + 1).decode("utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise NodeError(
            f"[notify] recipients_file: expected a file of text, got {file}"
            f" ({type(fault).__name__})"
        ) from None
    if len(text) > MAXIMUM_BYTES:
        raise NodeError(
            f"[notify] recipients_file: expected at most {MAXIMUM_BYTES} bytes, got more in {file}"
        )
    by_url: dict[str, Recipient] = {}
    for rule in _rules(text):
        known = by_url.get(rule.url, rule)
        by_url[rule.url] = replace(known, subjects=known.subjects | rule.subjects)
    return tuple(by_url.values())


def _rules(text: str) -> Iterator[Recipient]:
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield _rule(number, line)


def _rule(number: int, line: str) -> Recipient:
    words, _, url = line.strip().partition(" ")
    named = {word.strip() for word in words.split(",") if word.strip()}
    known = {str(subject) for subject in Subject}
    if not (named and named <= {*known, "all"} and URL.fullmatch(url.strip())):
        raise NodeError(
            f"[notify] recipients_file: line {number}: expected subjects separated by commas"
            f" without blanks ({', '.join(sorted(known))}, or all), then a URL of Apprise, got"
            " something else"
        )
    subjects = frozenset(Subject) if "all" in named else frozenset(map(Subject, named))
    return Recipient(line=number, subjects=subjects, url=url.strip())
