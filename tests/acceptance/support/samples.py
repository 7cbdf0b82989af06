"""Small result sets of every kind, with their source series, for the validators."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from pydicom import Dataset
from pydicom.uid import (
    ComprehensiveSRStorage,
    EnhancedSRStorage,
    ExplicitVRLittleEndian,
    KeyObjectSelectionDocumentStorage,
)

from pipeline.encode.bundle import encode, part10
from pipeline.encode.result.context import ResultContext
from pipeline.encode.result.identity import Rejection, ReportReference
from pipeline.encode.result.kinds import TRANSFER_SYNTAXES, ResultKind
from pipeline.encode.result.products import HeatmapForm, Products, SegmentationForm
from pipeline.encode.sr.notice import not_analysed
from pipeline.encode.sr.rejection_note import rejection_note
from pipeline.series.volume import assemble
from pipeline.synthetic.phantom.dicom import phantom_datasets, write_series
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from pipeline.types import Analysis, CtSeries
from tests.support.samples import encode_samples
from tests.support.samples.phantom_enhanced import enhanced_dataset
from tests.support.samples.phantom_odd import (
    POSITIONS,
    numbered_backwards,
    oblique,
    turned,
    with_values,
    without,
)

SEED = 5
SMALL = PhantomSpec(seed=SEED, slices=7, size=48, spacing_mm=30.0)
DENSE = replace(SMALL, slices=25, spacing_mm=5.0)  #: so that a slice may be missing
EVERYTHING = Products(
    summary=True, summary_pdf=True, text_report=True, parametric_map=True, key_images=True
)
OTHER_FORMS = replace(
    EVERYTHING, heatmap=HeatmapForm.MULTI_FRAME, empty_frames=True, heatmap_columns=32
)
LABEL_MAP = replace(EVERYTHING, segmentation=SegmentationForm.LABELMAP)
PREDECESSOR = ReportReference(
    sop_class_uid=ComprehensiveSRStorage,
    sop_instance_uid="1.2.4.9",
    series_instance_uid="1.2.4.8",
    study_instance_uid="1.2.4.1",
)
EARLIER_TEXT = replace(
    PREDECESSOR,
    sop_class_uid=EnhancedSRStorage,
    sop_instance_uid="1.2.4.11",
    series_instance_uid="1.2.4.10",
)
EARLIER_IMAGES = replace(
    PREDECESSOR,
    sop_class_uid=KeyObjectSelectionDocumentStorage,
    sop_instance_uid="1.2.4.13",
    series_instance_uid="1.2.4.12",
)

Change = Callable[[list[Dataset]], list[Dataset]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """How a result set comes about.

    Attributes
    ----------
    spec, change
        The phantom, and what is done to its instances.
    found
        What is found in them: keywords of `encode_samples.analysis`.
    context
        Keywords of `ResultContext`.
    """

    change: Change = list
    spec: PhantomSpec = SMALL
    products: Products = EVERYTHING
    found: Mapping[str, object] = field(default_factory=dict)
    context: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Files of a result set; ``results`` in the order of sending, the notice last."""

    sample: str
    source: tuple[Path, ...]
    results: tuple[tuple[ResultKind, Path], ...]

    def of_kind(self, *kinds: ResultKind) -> list[Path]:
        return [path for kind, path in self.results if kind in kinds]


def _valued(**values: object) -> Change:
    return partial(with_values, **values)


def _requested(datasets: list[Dataset]) -> list[Dataset]:
    request = Dataset()
    request.AccessionNumber, request.StudyInstanceUID = "0042", datasets[0].StudyInstanceUID
    request.RequestedProcedureDescription, request.RequestedProcedureID = "CT Thorax nativ", "RP 7"
    request.ScheduledProcedureStepDescription, request.ScheduledProcedureStepID = "Thorax", "SPS7"
    return with_values(datasets, RequestAttributesSequence=[request], AccessionNumber="0042")


SAMPLES: Mapping[str, Sample] = {
    "everything": Sample(
        context={
            "priors": (encode_samples.prior(),),
            "predecessor": PREDECESSOR,
            "superseded": {"text-report": EARLIER_TEXT, "key-images": EARLIER_IMAGES},
            "generation": 2,
        },
        found={"flags": ("few-slices", "score-uncertain")},
    ),
    "other forms": Sample(products=OTHER_FORMS),
    "label map": Sample(products=LABEL_MAP),
    "nothing found": Sample(found={"lesions": (), "score": 0.03}),
    **{position: Sample(change=partial(turned, position=position)) for position in POSITIONS},
    "oblique": Sample(change=partial(oblique, degrees=8.0)),
    "numbered backwards": Sample(change=numbered_backwards),
    "missing slice": Sample(spec=DENSE, change=partial(without, indices=(3,))),
    "not square": Sample(change=_valued(PixelSpacing=["7.5", "5.25"])),
    "no names": Sample(
        change=_valued(
            PatientName="", PatientID="", PatientBirthDate="", PatientSex="", PatientAge=None,
            StudyDate="", StudyTime="", StudyID="", AccessionNumber="", StudyDescription=None,
            BodyPartExamined=None, SpecificCharacterSet=None, PositionReferenceIndicator=None,
            SeriesDescription=None, SeriesNumber=None,
        )
    ),
    "odd identifiers": Sample(
        change=_valued(
            PatientID="00 07/ä*?", IssuerOfPatientID="Klinik^Süd&1.2.3&ISO", StudyID="ß-1",
            AccessionNumber="*77?", TimezoneOffsetFromUTC="-0930", PatientAge="003D",
            PatientName="D'Ärzté-Müller^Anna Maria^^Dr.^MD",
        )
    ),
    "request": Sample(change=_requested),
    "japanese": Sample(
        change=_valued(
            SpecificCharacterSet=["", "ISO 2022 IR 87"],
            PatientName="Yamada^Tarou=山田^太郎=やまだ^たろう",
            StudyDescription="胸部CT",
        )
    ),
    "chinese": Sample(
        change=_valued(SpecificCharacterSet="GB18030", PatientName="Wang^XiaoDong=王^小东")
    ),
    "korean": Sample(
        change=_valued(
            SpecificCharacterSet=["", "ISO 2022 IR 149"], PatientName="Hong^Gildong=洪^吉洞=홍^길동"
        )
    ),
    "cyrillic": Sample(
        change=_valued(SpecificCharacterSet="ISO_IR 144", PatientName="Люкceмбypг^Иван")
    ),
    "latin": Sample(change=_valued(SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Jürg")),
    "enhanced": Sample(change=lambda datasets: [enhanced_dataset(make_phantom(SMALL), seed=SEED)]),
}  # fmt: skip


def encoded(name: str, folder: Path) -> Written:
    """Encode a sample, its notice included, and write it and its source as files."""
    sample = SAMPLES[name]
    source = sample.change(phantom_datasets(make_phantom(sample.spec), seed=SEED))
    paths = write_series(source, folder / "source")
    series = assemble(source)
    context = encode_samples.context(products=sample.products, **sample.context)
    results = write_results(series, found(series, sample), context, folder)
    return Written(sample=name, source=tuple(paths), results=results)


def found(series: CtSeries, sample: Sample) -> Analysis:
    shape = series.volume.shape
    values: dict[str, object] = dict(sample.found)
    if values.get("lesions") == ():
        values["lesion_labels"] = np.zeros(shape, np.uint8)
    return encode_samples.analysis(shape, **values)  # type: ignore[arg-type]  # checked at run time


def write_results(
    series: CtSeries,
    analysis: Analysis,
    context: ResultContext,
    folder: Path,
    *,
    compressed: bool = False,
) -> tuple[tuple[ResultKind, Path], ...]:
    """Write all that is sent for a series, and what is in no bundle: a notice, a rejection note.

    Parameters
    ----------
    compressed
        Whether files are as they are kept; DCMTK, which looks at the others, reads no JPEG 2000.
    """
    notice = not_analysed(
        series.headers, "too-few-slices", "7 slices, at least 30 expected", context
    )
    made = [(result.kind, result.dataset) for result in encode(series, analysis, context).objects]
    folder = folder / "results"
    folder.mkdir()
    written = []
    rejection = Rejection(destination="PACS", objects=(PREDECESSOR, EARLIER_IMAGES))
    note = rejection_note(series.common.header, rejection, context)
    made += [(ResultKind.NOTICE, notice), (ResultKind.REJECTION_NOTE, note)]
    for number, (kind, dataset) in enumerate(made):
        path = folder / f"{number:03d}-{kind}.dcm"
        kept = TRANSFER_SYNTAXES[dataset.SOPClassUID]
        path.write_bytes(part10(dataset, kept if compressed else ExplicitVRLittleEndian))
        written.append((kind, path))
    return tuple(written)
