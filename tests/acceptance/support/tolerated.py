"""False alarms of the validators that are tolerated, each with its reason."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.encode.result.kinds import ResultKind

EVERY_KIND = frozenset(ResultKind)
PICTURES = frozenset({ResultKind.HEATMAP, ResultKind.SUMMARY})
LABEL_MAP = frozenset({"label map"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A line of a validator; ``kind`` is None where it speaks of a whole set."""

    sample: str
    validator: str
    kind: ResultKind | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FalseAlarm:
    """Lines of a validator that are wrong, or that say nothing against the object.

    Attributes
    ----------
    samples
        The only ones in which it is tolerated; empty: in all.
    """

    validator: str
    pattern: str
    reason: str
    kinds: frozenset[ResultKind] = EVERY_KIND
    samples: frozenset[str] = frozenset()

    def covers(self, finding: Finding) -> bool:
        return (
            self.validator == finding.validator
            and (finding.kind is None or finding.kind in self.kinds)
            and (not self.samples or finding.sample in self.samples)
            and re.search(self.pattern, finding.text) is not None
        )


FALSE_ALARMS = (
    FalseAlarm(
        validator="dciodvfy",
        pattern=r"CodingSchemeDesignator.*Unrecognized defined term = <99DICOMNODE>",
        reason="private coding schemes begin with 99 (PS3.16 8.2); the tool knows registered ones",
    ),
    FalseAlarm(
        validator="dciodvfy",
        pattern=r"ContributingEquipmentSequence\(.*/DeviceUID\(.*not present in standard DICOM IOD",
        reason="Device UID came into the sequence with CP 2118, after the tool's edition of 2022",
    ),
    FalseAlarm(
        validator="dciodvfy",
        pattern=r"</(FrameOfReferenceUID|PositionReferenceIndicator|ImagePositionPatient"
        r"|ImageOrientationPatient|SliceThickness)\(.*not present in standard DICOM IOD",
        reason="place of a Secondary Capture: a Standard Extended SOP Class (PS3.2 7.3); viewers"
        " scroll by it",
        kinds=PICTURES,
    ),
    FalseAlarm(
        validator="dciodvfy",
        pattern=r"</(BodyPartExamined|PrimaryAnatomicStructureSequence)\(.*"
        r"not present in standard DICOM IOD",
        reason="archives route and query by it: a Standard Extended SOP Class (PS3.2 7.3)",
    ),
    FalseAlarm(
        validator="dciodvfy",
        pattern=r"Unrecognized defined term = <QUANTITY>",
        reason="a Derived Pixel Contrast of PS3.3 C.8.32.2 newer than the tool's edition of 2022",
        kinds=frozenset({ResultKind.PARAMETRIC_MAP}),
    ),
    FalseAlarm(
        validator="dciodvfy",
        pattern=r"/(FrameContent|DerivationImage)Sequence\(.*not present in standard DICOM IOD",
        reason="functional groups of a multi-frame Secondary Capture beyond those of its IOD: a"
        " Standard Extended SOP Class; they say from which slice a frame was made",
        kinds=PICTURES,
        samples=frozenset({"other forms"}),
    ),
    FalseAlarm(
        validator="dciodvfy",
        pattern=r"Missing attribute or value that would be needed to build DICOMDIR",
        reason="the source has no value either, and we invent none",
        samples=frozenset({"no names"}),
    ),
    FalseAlarm(
        validator="dciodvfy",
        pattern=r"Information Object Not found|SegmentNumber not monotonically increasing",
        reason="Label Map Segmentation is of 2024, the tool of 2022; segment 0 is the background",
        kinds=frozenset({ResultKind.SEGMENTATION}),
        samples=LABEL_MAP,
    ),
    FalseAlarm(
        validator="dcentvfy",
        pattern=r"Unrecognized SOP Class - 1\.2\.840\.10008\.5\.1\.4\.1\.1\.66\.7 "
        r"|IE <Unknown> versus",
        reason="Label Map Segmentation again",
        samples=LABEL_MAP,
    ),
    FalseAlarm(
        validator="DicomSRValidator",
        pattern=r"different code meaning \(\"Source Series for Segmentation\"\)",
        reason="121232 DCM is what counts; the capitals of its meaning changed between editions",
    ),
    FalseAlarm(
        validator="DicomSRValidator",
        pattern=r"TEXT \(122405,DCM,\"Algorithm Manufacturer\"\): Content Item not in template",
        reason="row of TID 4019 newer than the tool's edition of 2022",
    ),
    FalseAlarm(
        validator="DicomSRValidator",
        pattern=r"Code \(24627-2,LN,\"CT Chest\"\) not found in context group 100",
        reason="the context group is extensible, and has no CT of the chest",
    ),
    FalseAlarm(
        validator="DicomSRValidator",
        pattern=r"(TEXT \(121106,DCM,\"Comment\"\)|CODE \(KIND,99DICOMNODE,.*\)): Content Item"
        r" not in template",
        reason="the templates of measurement groups are extensible; OHIF writes comments whole, and"
        " newer editions than the tool's have qualitative evaluations in them",
        kinds=frozenset({ResultKind.REPORT}),
    ),
    FalseAlarm(
        validator="DicomSRValidator",
        pattern=r"/CONTAINER .*/TEXT \([^)]*\): Content Item not in template",
        reason="the names of paragraphs (CID 7002) are extensible",
        kinds=frozenset({ResultKind.TEXT_REPORT, ResultKind.NOTICE}),
    ),
    FalseAlarm(
        validator="DicomSRValidator",
        pattern=r"NUM \(.*/SCOORD \(260753009,SCT,\"Source\"\).*: Content Item not in template",
        reason="a measurement may be inferred from coordinates (TID 300, TID 320), but the tool's"
        " groups of TID 1501 take none; OHIF shows no report in which a group is without",
        kinds=frozenset({ResultKind.REPORT}),
    ),
    FalseAlarm(
        validator="dsrdump",
        pattern=r"VR checker does not support this Specific Character Set",
        reason="limit of DCMTK 3.6.7; the text is printed all the same",
    ),
    FalseAlarm(
        validator="dsrdump",
        pattern=r"unknown/unsupported SpecificCharacterSet \(\\ISO 2022 IR (87|149)\)"
        r"|SpecificCharacterSet \(0008,0005\) element absent|dsr2html ended with 2",
        reason="DCMTK's reports know no code extensions (PS3.5 6.1.2.5) and take the set as absent",
        samples=frozenset({"japanese", "korean"}),
    ),
    FalseAlarm(
        validator="dsrdump",
        pattern=r"Check for template constraints not yet supported",
        reason="limit of DCMTK 3.6.7 with Key Object Selections; PixelMed checks their template",
        kinds=frozenset({ResultKind.KEY_IMAGES, ResultKind.REJECTION_NOTE}),
    ),
    FalseAlarm(
        validator="dcentvfy",
        pattern=r"Element=<AccessionNumber> IE <(Series|Study)> versus <(Series|Study)>",
        reason="the tool puts Accession Number into the series of some IODs",
    ),
)


def not_tolerated(findings: Iterable[Finding]) -> list[Finding]:
    """Findings that no false alarm covers."""
    return [
        finding for finding in findings if not any(alarm.covers(finding) for alarm in FALSE_ALARMS)
    ]
