"""Odd series: a good one, spoilt in one way each, and the state that it must end in."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from pydicom import Dataset
from pydicom.config import disable_value_validation
from pydicom.datadict import dictionary_VR, keyword_dict
from pydicom.dataelem import RawDataElement
from pydicom.encaps import encapsulate
from pydicom.tag import Tag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLSLossless,
    RLELossless,
)

from dicom_node.network.status_codes import CANNOT_UNDERSTAND, DATA_SET_DOES_NOT_MATCH, SUCCESS
from pipeline.synthetic.phantom.dicom import phantom_datasets, phantom_uid
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from pipeline.synthetic.phantom.syntaxes import copied, transcoded
from tests.reliability.odd.node import Message, message
from tests.support.peers.wire_client import EXPLICIT
from tests.support.samples.phantom_odd import oblique, tilted, with_values, without

SLICES, SIZE = 36, 32
PHANTOM = PhantomSpec(slices=SLICES, size=SIZE, spacing_mm=4.5)  #: 158 mm: just enough of a chest
ANALYSED = "encoded"
DEFLATED, IMPLICIT = str(DeflatedExplicitVRLittleEndian), str(ImplicitVRLittleEndian)
LOCALIZER = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
UUID = "0e4b6f5e-2f4e-4c80-9a3b-0b2a8d1c9f10"  #: as Series Instance UID, seen in real archives

Series = list[Dataset]
Spoil = Callable[[Series], Series]


@dataclass(frozen=True, slots=True, kw_only=True)
class Odd:
    """One way to be odd.

    Attributes
    ----------
    damage
        What happens to the encoded data sets.
    syntax, encoded_as
        Transfer syntax agreed upon; and the one that is used, if it is another.
    ends
        How state and reason of the series begin; None if none of it is taken.
    answers
        The statuses that come.
    reason
        Part of what is said of quarantined instances.
    """

    name: str
    spoil: Spoil = lambda series: series
    damage: Callable[[bytes], bytes] = lambda body: body
    syntax: str = EXPLICIT
    encoded_as: str = ""
    ends: str | None = ANALYSED
    answers: frozenset[int] = frozenset({SUCCESS})
    reason: str = ""

    def messages(self) -> list[Message]:
        with disable_value_validation():
            honest = [
                message(ds, self.encoded_as or self.syntax) for ds in self.spoil(list(series()))
            ]
        return [Message(uid=message.uid, body=self.damage(message.body)) for message in honest]


@cache
def series() -> tuple[Dataset, ...]:
    return tuple(phantom_datasets(make_phantom(PHANTOM), seed=3))


def having(**values: object) -> Spoil:
    """All have these values; None deletes."""
    return lambda datasets: with_values(datasets, **values)


def one_having(**values: object) -> Spoil:
    """One in the middle has these values."""
    return lambda datasets: [*datasets[:9], *with_values(datasets[9:10], **values), *datasets[10:]]


def half_having(**values: object) -> Spoil:
    return lambda datasets: [*datasets[:18], *with_values(datasets[18:], **values)]


def raw(value: bytes, keyword: str, count: int = SLICES) -> Spoil:
    """So many have a value that no library would write."""
    tag = Tag(keyword_dict[keyword])
    element = RawDataElement(
        tag, dictionary_VR(tag), len(value), value, 0, False, True, is_raw=True
    )

    def spoil(datasets: Series) -> Series:
        datasets = [copied(ds) for ds in datasets]
        for ds in datasets[:count]:
            ds[tag] = element
        return datasets

    return spoil


def both(*spoils: Spoil) -> Spoil:
    def all_of_them(datasets: Series) -> Series:
        for spoil in spoils:
            datasets = spoil(datasets)
        return datasets

    return all_of_them


def again(datasets: Series, **values: object) -> Series:
    """All once more, as other instances."""
    twins = with_values(datasets, **values)
    for number, twin in enumerate(twins):
        twin.SOPInstanceUID = phantom_uid(4, number, str(values))
        twin.file_meta.MediaStorageSOPInstanceUID = twin.SOPInstanceUID
    return [*datasets, *twins]


def shifted(datasets: Series, mm: float) -> Series:
    moved = []
    for ds in datasets:
        x, y, z = (float(value) for value in ds.ImagePositionPatient)
        moved += with_values([ds], ImagePositionPatient=[x, y, round(z + mm, 3)])
    return moved


def with_uids(datasets: Series, uid: str) -> Series:
    """Every request names this instance; the data sets stay."""
    changed = [copied(ds) for ds in datasets]
    for ds in changed:
        ds.file_meta.MediaStorageSOPInstanceUID = uid
    return changed


def compressed(name: str, change: Callable[[bytes], bytes] = lambda data: data) -> Spoil:
    """Compress, and change what came of it."""

    def spoil(datasets: Series) -> Series:
        made = [transcoded(ds, name) for ds in datasets]
        for ds in made:
            ds.add_new("PixelData", "OB", change(ds.PixelData))
            ds["PixelData"].is_undefined_length = True
        return made

    return spoil


def with_private(datasets: Series) -> Series:
    """Two private blocks: one of a text and a sequence, one that nobody has reserved."""
    changed = [copied(ds) for ds in datasets]
    for ds in changed:
        block = ds.private_block(0x0099, "SOMEBODY", create=True)
        block.add_new(0x01, "LO", "text")
        block.add_new(0x02, "SQ", [Dataset()])
        ds.add_new(0x00995001, "UN", b"\x00\x01\x02\x03")
    return changed


def lying_jpeg(data: bytes) -> bytes:
    """Say 65535 x 65535 in the frame header of the image itself."""
    at = next(at for at in _markers(data) if data[at + 1] in (0xC3, 0xF7))
    return data[: at + 5] + b"\xff\xff\xff\xff" + data[at + 9 :]


def lying_jpeg_2000(data: bytes) -> bytes:
    """Say 4294967295 x 4294967295 in the SIZ marker."""
    at = data.index(b"\xff\x4f\xff\x51") + 8
    return data[:at] + b"\xff" * 8 + data[at + 8 :]


def _markers(data: bytes) -> Iterator[int]:
    at = data.find(b"\xff")
    while at >= 0:
        yield at
        at = data.find(b"\xff", at + 1)


def rle_bomb(_: bytes) -> bytes:
    """Two segments of 64 KiB that say 4 MiB each, for an image of 1 KiB each."""
    run = b"\x81\x00" * 32_768  # each pair: 128 times nought
    head = struct.pack("<16L", 2, 64, 64 + len(run), *[0] * 13)
    return bytes(encapsulate([head + run + run]))


def rle_lie(_: bytes) -> bytes:
    """Segments that begin behind the end."""
    return bytes(encapsulate([struct.pack("<16L", 15, *[0xFFFFFFF0] * 15) + b"\x81\x00" * 20]))


def deflated(body: bytes) -> bytes:
    squeeze = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    data = squeeze.compress(body) + squeeze.flush()
    return data + b"\x00" * (len(data) % 2)


def deflate_bomb(body: bytes) -> bytes:
    """80 MiB of private data before the pixels, in 80 KiB."""
    at = body.index(b"\xe0\x7f\x10\x00")
    size = 80 << 20
    element = struct.pack("<HH2sHL", 0x7FDF, 0x1001, b"OB", 0, size) + b"\x00" * size
    return deflated(body[:at] + element + body[at:])


def flipped(at: int) -> Callable[[bytes], bytes]:
    """Flip the highest bit of one byte."""
    return lambda body: body[:at] + bytes((body[at] ^ 0x80,)) + body[at + 1 :]


def endless(body: bytes) -> bytes:
    """Give Pixel Data a length of 2 GB."""
    at = body.index(b"\xe0\x7f\x10\x00") + 8
    return body[:at] + struct.pack("<L", 0x7FFFFFFE) + body[at + 4 :]


def nested(body: bytes) -> bytes:
    """5,000 sequences in each other, none of which ends, before everything else."""
    del body
    item = struct.pack("<HH2sHL", 8, 0x1140, b"SQ", 0, 0xFFFFFFFF)
    return (item + struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)) * 5000


def unsuitable(reason: str) -> str:
    return f"unsuitable: {reason}"


REFUSED = frozenset({CANNOT_UNDERSTAND})
RLE = RLELossless
NOT_FINITE = unsuitable("missing-attribute: 3 numbers expected in ImagePositionPatient, got 3")
MIXED = unsuitable("mixed-identity: One ")
PIXELS = unsuitable("pixel-data: ")
COMPRESSED = PIXELS + "compressed image: expected rows, columns, samples (32, 32, 1)"


def kept(name: str, spoil: Spoil = lambda series: series, ends: str = ANALYSED) -> Odd:
    """All is kept, and the series ends so."""
    return Odd(name=name, spoil=spoil, ends=ends)


def refused(name: str, spoil: Spoil, reason: str) -> Odd:
    """All is answered with 0xC000, and lies in quarantine for this reason."""
    return Odd(name=name, spoil=spoil, reason=reason, answers=REFUSED, ends=None)


def another(name: str, spoil: Spoil) -> Odd:
    """All is answered with 0xA900: the data sets are of other instances than their requests."""
    answers = frozenset({DATA_SET_DOES_NOT_MATCH})
    return Odd(name=name, spoil=spoil, reason="has another one", answers=answers, ends=None)


IDENTIFIERS = [
    kept("uuids-for-uids", having(StudyInstanceUID=UUID, SeriesInstanceUID=UUID + "1")),
    kept("sop-instance-uid-only-in-the-request", having(SOPInstanceUID="")),
    kept("sop-class-uid-only-in-the-request", having(SOPClassUID=None)),
    another("one-sop-instance-uid-in-all-data-sets", having(SOPInstanceUID="1.2.3")),
    another("other-sop-class-uid-in-data-set", having(SOPClassUID="1.2.3")),
    kept("no-frame-of-reference-uid", having(FrameOfReferenceUID="")),
    another("one-uid-for-all", lambda s: with_uids(s, "1.2.3")),
    kept("series-uid-padded-with-spaces", raw(b"1.2.3.4  ", "SeriesInstanceUID")),
    refused(
        "series-uid-that-is-a-path",
        having(SeriesInstanceUID="../../etc/passwd"),
        "SeriesInstanceUID: expected a UID (PS3.5 9.1)",
    ),
    refused(
        "series-uid-that-is-a-name",
        having(SeriesInstanceUID="Muster^Mia"),
        "SeriesInstanceUID: expected a UID (PS3.5 9.1)",
    ),
    refused(
        "series-uid-of-odd-bytes",
        raw(b"\xff\xfe1.2\\3", "SeriesInstanceUID"),
        "SeriesInstanceUID: expected a UID",
    ),
    kept("series-uid-with-leading-zeros", having(SeriesInstanceUID="1.2.003.04")),
    refused("no-uid-in-the-request", lambda s: with_uids(s, ""), "SOPInstanceUID: expected a UID"),
    refused(
        "uid-of-200-characters", lambda s: with_uids(s, "1." * 99 + "11"), "got 200 characters"
    ),
    refused("series-uid-of-65-characters", having(SeriesInstanceUID="1" * 65), "got 65 characters"),
    refused(
        "series-uid-with-noughts-inside",
        raw(b"1.2\0\0.34", "SeriesInstanceUID"),
        "cannot be printed",
    ),
    refused("no-study-instance-uid", having(StudyInstanceUID=""), "StudyInstanceUID: expected"),
]
CHARACTER_SETS = [
    kept("unknown-character-set", raw(b"ISO_IR 999", "SpecificCharacterSet")),
    kept(
        "umlauts-without-character-set",
        both(having(SpecificCharacterSet=None), raw(b"M\xfcller^J\xf6rg ", "PatientName")),
    ),
    kept(
        "broken-gb18030",
        both(having(SpecificCharacterSet="GB18030"), raw(b"\x81\xff\x30\xfe^\xc3", "PatientName")),
    ),
    kept(
        "escape-sequence-cut-off",
        both(
            having(SpecificCharacterSet=["", "ISO 2022 IR 87"]),
            raw(b"Yamada^Tarou=\x1b$B;3ED=\x1b$", "PatientName"),
        ),
    ),
    kept("iso-2022-ir-6", having(SpecificCharacterSet=["ISO 2022 IR 6", "ISO 2022 IR 100"])),
]
ATTRIBUTES = [
    kept(
        "no-position",
        having(ImagePositionPatient=None),
        unsuitable("missing-attribute: 3 numbers expected in ImagePositionPatient, got 0"),
    ),
    kept(
        "position-not-finite",
        raw(b"1\\nan\\inf ", "ImagePositionPatient"),
        NOT_FINITE[:-1] + "1 that are finite",
    ),
    kept(
        "position-in-words",
        raw(b"left\\up\\3 ", "ImagePositionPatient"),
        NOT_FINITE[:-1] + "1 that are finite",
    ),
    kept(
        "position-beyond-reason",
        raw(b"0\\0\\1e308 ", "ImagePositionPatient"),
        unsuitable("bad-position: "),
    ),
    kept(
        "orientation-of-noughts",
        having(ImageOrientationPatient=[0] * 6),
        unsuitable("bad-orientation: "),
    ),
    kept("pixel-spacing-of-nought", having(PixelSpacing=[0, 0]), unsuitable("bad-spacing: ")),
    kept(
        "no-rescale-slope",
        having(RescaleSlope=""),
        unsuitable("missing-attribute: 1 numbers expected in RescaleSlope"),
    ),
    kept("negative-rescale-slope", having(RescaleSlope=-1), unsuitable("bad-rescale: ")),
    kept("one-negative-rescale-slope", one_having(RescaleSlope=-1)),
    kept("one-without-position", one_having(ImagePositionPatient=None)),
    kept(
        "empty-dates-and-numbers",
        having(StudyDate="", SeriesNumber="", StudyTime="", InstanceNumber=""),
    ),
    kept("dates-in-words", both(raw(b"yesterday ", "StudyDate"), raw(b"noon", "StudyTime"))),
    kept("several-window-centres", having(WindowCenter=[40, -600], WindowWidth=[400, 1500, 9])),
    kept(
        "modality-of-another",
        having(Modality="MR"),
        unsuitable("not-ct: CT images expected, got MR"),
    ),
    kept(
        "two-patients", half_having(PatientID="SOMEBODY ELSE"), MIXED + "PatientID expected, got 2"
    ),
    kept(
        "two-studies", half_having(StudyInstanceUID="1.2.3.9"), MIXED + "StudyInstanceUID expected"
    ),
    kept("private-elements", with_private),
]
DIMENSIONS = [
    kept("rows-65535", having(Rows=65535), PIXELS + "Rows of 1 to 4096 expected, got 65535"),
    kept("rows-and-columns-65535", having(Rows=65535, Columns=65535), unsuitable("too-large: ")),
    kept("no-rows", having(Rows=0), PIXELS + "Rows of 1 to 4096 expected, got 0"),
    kept(
        "two-billion-frames",
        having(NumberOfFrames=2**31 - 1),
        PIXELS + "Pixel Data: expected 4398046509056 bytes, got 2048",
    ),
    Odd(
        name="two-billion-frames-compressed",
        spoil=both(compressed("rle"), having(NumberOfFrames=2**31 - 1)),
        syntax=RLE,
        ends=PIXELS + "Pixel Data: fragments cannot be read",
    ),
    kept("negative-number-of-frames", having(NumberOfFrames=-5), PIXELS + "Number of Frames of 1"),
    kept(
        "bits-stored-99", having(BitsStored=99), PIXELS + "Bits Stored of 1 to 16 expected, got 99"
    ),
    kept("bits-allocated-64", having(BitsAllocated=64), PIXELS + "Bits Allocated of 8 or 16"),
    kept("three-samples", having(SamplesPerPixel=3), unsuitable("not-ct: Grey images expected")),
    kept("one-slice-of-another-size", one_having(Rows=64)),
]
BOMBS = [
    Odd(
        name="rle-bomb",
        spoil=compressed("rle", rle_bomb),
        syntax=RLE,
        ends=PIXELS + "RLE: expected 2048 bytes",
    ),
    Odd(
        name="rle-lie",
        spoil=compressed("rle", rle_lie),
        syntax=RLE,
        ends=PIXELS + "RLE: expected 2048 bytes",
    ),
    Odd(
        name="jpeg-lie",
        spoil=compressed("jpeg-lossless", lying_jpeg),
        syntax=JPEGLossless,
        ends=COMPRESSED,
    ),
    Odd(
        name="jpeg-ls-lie",
        spoil=compressed("jls", lying_jpeg),
        syntax=JPEGLSLossless,
        ends=COMPRESSED,
    ),
    Odd(
        name="jpeg-2000-lie",
        spoil=compressed("j2k", lying_jpeg_2000),
        syntax=JPEG2000Lossless,
        ends=COMPRESSED,
    ),
    Odd(
        name="deflate-bomb",
        spoil=lambda s: s[:1],
        damage=deflate_bomb,
        syntax=DEFLATED,
        ends=unsuitable("too-large: a data set that inflates to 67108864 bytes at most"),
    ),
]
DAMAGE = [
    Odd(name="deflated-as-agreed", damage=deflated, syntax=DEFLATED),
    Odd(
        name="not-deflated-as-agreed",
        syntax=DEFLATED,
        ends=None,
        answers=REFUSED,
        reason="cannot be parsed",
    ),
    Odd(name="explicit-where-implicit-was-agreed", encoded_as=EXPLICIT, syntax=IMPLICIT),
    Odd(name="implicit-where-explicit-was-agreed", encoded_as=IMPLICIT, syntax=EXPLICIT),
    Odd(
        name="cut-in-the-pixels",
        damage=lambda b: b[:-1000],
        ends=PIXELS + "Pixel Data: expected 2048 bytes, got 1048",
    ),
    Odd(
        name="cut-before-the-pixels",
        damage=lambda b: b[: -2 * SIZE * SIZE - 12],
        ends=PIXELS + "Pixel Data expected, got none",
    ),
    Odd(name="pixels-said-to-have-2-gb", damage=endless),
    *(
        Odd(name=name, damage=damage, ends=None, answers=REFUSED, reason=reason)
        for name, damage, reason in (
            ("cut-in-the-header", lambda b: b[:100], "StudyInstanceUID: expected"),
            ("nothing", lambda b: b"", "StudyInstanceUID: expected"),
            ("one-byte", lambda b: b[:1], "StudyInstanceUID: expected"),
            ("bit-flipped-in-a-vr", flipped(4), "cannot be parsed"),
            ("bit-flipped-in-a-length", flipped(7), "cannot be parsed"),
            ("nested-for-ever", nested, "cannot be parsed (RecursionError)"),
        )
    ),
]
MIXTURES = [
    kept(
        "two-acquisitions-in-the-same-places",
        lambda s: again(s, AcquisitionNumber=2),
        unsuitable("two-volumes: "),
    ),
    kept(
        "two-acquisitions-interleaved",
        lambda s: [*s, *again(shifted(s, 1.5), AcquisitionNumber=2)[SLICES:]],
        unsuitable("two-volumes: "),
    ),
    kept("two-pixel-spacings", lambda s: again(s, PixelSpacing=[5, 5])),
    kept(
        "with-a-localizer",
        lambda s: [*s, *again(oblique(s[:1], 90), ImageType=LOCALIZER)[1:]],
    ),
    kept("tilted-gantry", lambda s: tilted(s, 10), unsuitable("gantry-tilt: ")),
    kept("slices-missing", lambda s: without(s, range(12, 16)), unsuitable("gap: ")),
    kept("head-to-feet", lambda s: s[::-1]),
]
ODDITIES = [
    *IDENTIFIERS,
    *CHARACTER_SETS,
    *ATTRIBUTES,
    *DIMENSIONS,
    *BOMBS,
    *DAMAGE,
    *MIXTURES,
]
