"""Findings of the validators on a set of results."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.encode.result.kinds import ResultKind
from tests.acceptance.support import validators
from tests.acceptance.support.samples import Written
from tests.acceptance.support.tolerated import Finding

REPORTS = (
    ResultKind.REPORT,
    ResultKind.TEXT_REPORT,
    ResultKind.NOTICE,
    ResultKind.KEY_IMAGES,
    ResultKind.REJECTION_NOTE,
)
IMAGES = (ResultKind.SEGMENTATION, ResultKind.HEATMAP, ResultKind.SUMMARY)


def findings_of(written: Written) -> Iterator[Finding]:
    for kind, path in written.results:
        yield from finding(written, "dciodvfy", kind, validators.dciodvfy(path))
        if kind in REPORTS:
            yield from finding(written, "dsrdump", kind, validators.dsrdump(path))
    everything = [*written.source, *(path for _, path in written.results)]
    yield from finding(written, "dcentvfy", None, validators.dcentvfy(everything))


def finding(
    written: Written, validator: str, kind: ResultKind | None, lines: list[str]
) -> Iterator[Finding]:
    for line in lines:
        yield Finding(sample=written.sample, validator=validator, kind=kind, text=line)
