"""One instance's Pixel Data: every transfer syntax, every odd layout, every lie about its size."""

import struct

import imagecodecs
import numpy as np
import pytest
from pydicom import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import UID, JPEGBaseline8Bit, JPEGExtended12Bit

from pipeline.errors import UnsuitableSeries
from pipeline.series.hounsfield import Rescale, to_hounsfield
from pipeline.series.pixel_data.decode import decode_frame, encoded_frames
from pipeline.series.pixel_data.layout import PixelLayout
from pipeline.synthetic.phantom.dicom import phantom_datasets, set_pixels
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from pipeline.synthetic.phantom.syntaxes import TRANSFER_SYNTAXES, copied, transcoded
from tests.support.samples.phantom_odd import with_values

PHANTOM = make_phantom(PhantomSpec(size=64, slices=8, spacing_mm=20.0, lesions=0))
SLICE = 3
PLAIN = phantom_datasets(PHANTOM, seed=1)[SLICE]


@pytest.fixture
def plain() -> Dataset:
    return copied(PLAIN)


def decoded(dataset: Dataset) -> np.ndarray:
    layout = PixelLayout.of(dataset)
    (frame,) = encoded_frames(dataset, layout)
    out = np.full((layout.rows, layout.columns), 77, np.int16)
    decode_frame(frame, layout, out)
    return (out if layout.signed else out.view(np.uint16)).astype(int)


def test_every_transfer_syntax_gives_the_stored_values(plain: Dataset) -> None:
    for syntax in TRANSFER_SYNTAXES:
        assert np.array_equal(decoded(transcoded(plain, syntax)), PHANTOM.hu[SLICE] + 1024), syntax


@pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES)
@pytest.mark.parametrize("bits", [13, 16])
def test_signed_values_keep_their_sign(syntax: str, bits: int, plain: Dataset) -> None:
    set_pixels(plain, PHANTOM.hu[SLICE].astype(np.int32))
    plain.BitsStored, plain.HighBit = bits, bits - 1

    assert np.array_equal(decoded(transcoded(plain, syntax)), PHANTOM.hu[SLICE])


def test_sign_bit_below_the_top_is_extended(plain: Dataset) -> None:
    """Some scanners write 12-bit two's complement with zeros above it."""
    values = np.clip(PHANTOM.hu[SLICE], -2048, 2047)
    set_pixels(plain, values.astype(np.int32) & 0x0FFF)
    plain.PixelRepresentation = 1

    for syntax in ("explicit", "big-endian", "rle", "jpeg-lossless", "jls"):
        assert np.array_equal(decoded(transcoded(plain, syntax)), values), syntax


def test_bits_that_are_no_value_are_dropped(plain: Dataset) -> None:
    """Old images hold overlays in the bits above High Bit (PS3.5 8.1.1)."""
    stored = PHANTOM.hu[SLICE].astype(np.int32) + 1024
    plain.PixelData = (stored | 0xA000).astype("<u2").tobytes()
    assert np.array_equal(decoded(plain), stored)

    plain.PixelData = (stored << 4 | 0x5).astype("<u2").tobytes()
    plain.HighBit = 15
    assert np.array_equal(decoded(plain), stored)


def test_eight_bits_allocated(plain: Dataset) -> None:
    image = (np.arange(64 * 64) % 251).reshape(64, 64)
    plain.PixelData, plain.BitsAllocated = image.astype(np.uint8).tobytes(), 8
    plain.BitsStored, plain.HighBit = 8, 7

    assert np.array_equal(decoded(plain), image)


def test_one_frame_in_many_fragments_is_joined(plain: Dataset) -> None:
    compressed = transcoded(plain, "j2k")
    (whole,) = generate_frames(compressed.PixelData, number_of_frames=1)
    compressed.PixelData = encapsulate([whole], fragments_per_frame=5)

    assert np.array_equal(decoded(compressed), PHANTOM.hu[SLICE] + 1024)


@pytest.mark.parametrize(
    ("syntax", "bits"), [(JPEGBaseline8Bit, 8), (JPEGExtended12Bit, 8), (JPEGExtended12Bit, 12)]
)
def test_lossy_jpeg_comes_close(plain: Dataset, syntax: str, bits: int) -> None:
    image = (PHANTOM.hu[SLICE].astype(int) + 1024) >> (12 - bits)
    coded = imagecodecs.jpeg8_encode(
        image.astype(np.uint16 if bits > 8 else np.uint8), level=95, bitspersample=bits
    )
    plain.file_meta.TransferSyntaxUID = syntax
    plain.BitsStored, plain.HighBit = bits, bits - 1
    plain.PixelData = encapsulate([coded])

    assert np.abs(decoded(plain) - image).mean() < 0.01 * 2**bits


def test_transfer_syntax_without_a_decoder_is_named(plain: Dataset) -> None:
    compressed = transcoded(plain, "j2k")
    compressed.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.4.55")

    with pytest.raises(UnsuitableSeries, match="no decoder could read the image"):
        decoded(compressed)


@pytest.mark.parametrize("behind", [bytes(128), b"\xff" * 6, b"\0", b"\x07", bytes(8192)])
def test_filler_behind_native_pixels_is_left_alone(behind: bytes, plain: Dataset) -> None:
    plain.PixelData += behind

    assert np.array_equal(decoded(plain), PHANTOM.hu[SLICE] + 1024)


@pytest.mark.parametrize("change", [-2, 2, -4096])
def test_wrong_length_says_what_was_expected(plain: Dataset, change: int) -> None:
    plain.PixelData = plain.PixelData[:change] if change < 0 else plain.PixelData + b"ab"

    with pytest.raises(UnsuitableSeries, match=f"expected 8192 bytes, got {8192 + change}") as info:
        decoded(plain)
    assert info.value.code == "pixel-data"
    assert plain.SOPInstanceUID in str(info.value)


CODECS = ["rle", "jpeg", "jpeg-extended", "jpeg-lossless", "jls", "j2k", "htj2k"]
FILLERS = [
    b"\xff\xff",
    b"\xff" * 9,
    b"\0",
    bytes(300),
    b"\xff\0",
    b"\xff\xd9",
    b"odd junk\xff\x03\x80",
]


def compressed_slice(plain: Dataset, codec: str) -> tuple[Dataset, bytes]:
    """A compressed instance and its one fragment, without any filler."""
    if codec in ("jpeg", "jpeg-extended"):
        bits = 8 if codec == "jpeg" else 12
        image = (PHANTOM.hu[SLICE].astype(int) + 1024) >> (12 - bits)
        compressed = copied(plain)
        compressed.file_meta.TransferSyntaxUID = (
            JPEGBaseline8Bit if codec == "jpeg" else JPEGExtended12Bit
        )
        compressed.BitsStored, compressed.HighBit = bits, bits - 1
        kind = np.uint8 if bits == 8 else np.uint16
        return compressed, imagecodecs.jpeg8_encode(image.astype(kind), bitspersample=bits)
    compressed = transcoded(plain, codec)
    (whole,) = generate_frames(compressed.PixelData, number_of_frames=1)
    return compressed, whole if codec == "rle" else whole[: whole.rindex(b"\xff\xd9") + 2]


def pixels_of(compressed: Dataset, *fragments: bytes) -> np.ndarray:
    compressed.PixelData = encapsulated(*fragments)
    return decoded(compressed)


def encapsulated(*fragments: bytes, table: bytes = b"") -> bytes:
    """An offset table and fragments of any length, as writers without scruples leave them."""
    items = (table, *fragments)
    return b"".join(b"\xfe\xff\x00\xe0" + struct.pack("<L", len(it)) + it for it in items)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("filler", FILLERS)
def test_filler_behind_a_compressed_image_is_left_alone(
    codec: str, filler: bytes, plain: Dataset
) -> None:
    compressed, whole = compressed_slice(plain, codec)
    expected = pixels_of(compressed, whole)

    assert np.array_equal(pixels_of(compressed, whole + filler), expected)
    assert np.array_equal(pixels_of(compressed, whole[:100], whole[100:], filler), expected)


@pytest.mark.parametrize("codec", CODECS[1:])
@pytest.mark.parametrize("filler", [b"", b"\0", b"\xff", bytes(300)])
def test_an_image_that_lacks_but_its_end_marker_is_whole(
    codec: str, filler: bytes, plain: Dataset
) -> None:
    compressed, whole = compressed_slice(plain, codec)
    expected = pixels_of(compressed, whole)

    assert np.array_equal(pixels_of(compressed, whole[:-2] + filler), expected)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("filler", [b"", *(it for it in FILLERS if it != b"\xff\xd9")])
@pytest.mark.parametrize("lost", [40, 0.5])
def test_an_image_cut_off_is_refused_whatever_fills_its_place(
    codec: str, filler: bytes, lost: float, plain: Dataset
) -> None:
    compressed, whole = compressed_slice(plain, codec)
    kept = len(whole) - int(lost * len(whole) if lost < 1 else lost)

    with pytest.raises(UnsuitableSeries) as info:
        pixels_of(compressed, whole[:kept] + filler)
    assert info.value.code == "pixel-data"


@pytest.mark.parametrize("syntax", ["rle", "jpeg-lossless", "jls", "j2k", "htj2k"])
@pytest.mark.parametrize("kept", [0.0, 0.02, 0.5, 0.9])
def test_cut_compressed_data_is_refused(plain: Dataset, syntax: str, kept: float) -> None:
    compressed = transcoded(plain, syntax)
    (whole,) = generate_frames(compressed.PixelData, number_of_frames=1)
    compressed.PixelData = encapsulate([whole[: max(2, int(len(whole) * kept) // 2 * 2)]])

    with pytest.raises(UnsuitableSeries) as info:
        decoded(compressed)
    assert info.value.code == "pixel-data"
    assert plain.SOPInstanceUID in str(info.value)


@pytest.mark.parametrize("syntax", ["rle", "jpeg-lossless", "jls", "j2k", "htj2k"])
@pytest.mark.parametrize("rows", [32, 63, 65, 128])
def test_image_of_another_size_than_announced_is_refused(
    plain: Dataset, syntax: str, rows: int
) -> None:
    compressed = transcoded(plain, syntax)
    compressed.Rows = rows

    with pytest.raises(UnsuitableSeries, match=r"expected .* got") as info:
        decoded(compressed)
    assert info.value.code == "pixel-data"


def test_two_frames_where_one_is_announced_are_refused(plain: Dataset) -> None:
    compressed = transcoded(plain, "jls")
    (whole,) = generate_frames(compressed.PixelData, number_of_frames=1)
    compressed.PixelData = encapsulate([whole, whole])

    with pytest.raises(UnsuitableSeries, match="expected 1 frames, got 2"):
        decoded(compressed)


@pytest.mark.parametrize("table", ["none", "basic", "extended", "wrong"])
@pytest.mark.parametrize("codec", ["rle", "jpeg-lossless", "jls", "j2k", "htj2k"])
def test_frames_in_fragments_are_told_apart_by_table_or_by_image(
    table: str, codec: str, plain: Dataset
) -> None:
    compressed, whole = compressed_slice(plain, codec)
    parts = (whole[:100], whole[100:200], whole[200:])
    first = sum(8 + len(part) for part in parts)
    compressed.NumberOfFrames = 2
    compressed.PixelData = encapsulated(
        *parts,
        *parts,
        table=struct.pack("<2L", 0, first + (table == "wrong")) if table in "basic wrong" else b"",
    )
    if table == "extended":
        compressed.ExtendedOffsetTable = struct.pack("<2Q", 0, first)
        compressed.ExtendedOffsetTableLengths = struct.pack("<2Q", len(whole), len(whole))

    assert encoded_frames(compressed, PixelLayout.of(compressed)) == [whole, whole]


def test_a_picture_in_the_header_does_not_end_an_image(plain: Dataset) -> None:
    compressed, whole = compressed_slice(plain, "jpeg-lossless")
    thumbnail = b"\xff\xe0" + struct.pack(">H", 10) + b"\xff\xd8\xff\xd9    "

    with pytest.raises(UnsuitableSeries):
        pixels_of(compressed, whole[:2] + thumbnail + whole[2 : len(whole) // 2])
    assert np.array_equal(
        pixels_of(compressed, whole[:2] + thumbnail + whole[2:]), PHANTOM.hu[SLICE] + 1024
    )


@pytest.mark.parametrize("data", [b"", b"no items at all", b"\xfe\xff\x00\xe0\xff\xff\xff\xff"])
def test_data_that_are_no_fragments_are_refused(plain: Dataset, data: bytes) -> None:
    compressed = transcoded(plain, "jls")
    compressed.PixelData = data

    with pytest.raises(UnsuitableSeries) as info:
        decoded(compressed)
    assert info.value.code == "pixel-data"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"Rows": 60000}, "Rows of 1 to 4096 expected, got 60000"),
        ({"Columns": 0}, "Columns of 1 to 4096 expected, got 0"),
        ({"SamplesPerPixel": 3}, "Samples per Pixel of 1 to 1 expected, got 3"),
        ({"BitsStored": 17}, "Bits Stored of 1 to 16 expected, got 17"),
        ({"HighBit": 16}, "High Bit of 11 to 15 expected, got 16"),
        ({"BitsAllocated": 32}, "Bits Allocated of 8 or 16 expected, got 32"),
        ({"PixelData": None}, "Pixel Data expected, got none"),
        ({"Rows": None}, "one integer expected in Rows, got 0 values"),
        ({"NumberOfFrames": "-1"}, "Number of Frames of 1 to"),
    ],
)
def test_impossible_layout_is_refused(
    plain: Dataset, values: dict[str, object], message: str
) -> None:
    (spoilt,) = with_values([plain], **values)

    with pytest.raises(UnsuitableSeries, match=message):
        decoded(spoilt)


def test_missing_transfer_syntax_is_named(plain: Dataset) -> None:
    bare = copied(plain)
    del bare.file_meta.TransferSyntaxUID

    with pytest.raises(UnsuitableSeries, match="TransferSyntaxUID expected"):
        decoded(bare)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(
    ("slope", "intercept"),
    [
        (1, -1024),
        (1, 0),
        (1, -8192),
        (1, 40000),
        (1, -70000),
        (2, -1024),
        (0.5, -1000.25),
        (1, -1024.5),
        (1, 1e12),
    ],
)
def test_hounsfield_units_are_exact_rounded_and_clipped(
    slope: float, intercept: float, signed: bool
) -> None:
    kind = np.int16 if signed else np.uint16
    bounds = np.iinfo(kind)
    stored = np.linspace(bounds.min, bounds.max, 4096).astype(kind).reshape(64, 64)
    expected = np.clip(np.rint(stored.astype(float) * slope + intercept), -1024, 3071)

    hu = stored.view(np.int16).copy()
    to_hounsfield(hu, Rescale(slope=float(slope), intercept=float(intercept)), signed=signed)

    assert np.array_equal(hu, expected)


def test_padding_becomes_the_lowest_value() -> None:
    stored = np.array([[-2000, -1990, -1900, 0, 5000]], np.int16)

    to_hounsfield(stored, Rescale(slope=1.0, intercept=1000.0, padding=(-2000, -1990)), signed=True)

    assert stored.tolist() == [[-1024, -1024, -900, 1000, 3071]]
