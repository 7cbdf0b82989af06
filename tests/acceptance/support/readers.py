"""The table of docs/viewers.md: each kind of result, read by every reader that is installed.

    python -m tests.acceptance.support.readers docs/viewers.md

Programs are looked for on the path, and in the folder that DICOM_NODE_READERS names: a virtual
environment's, with dcmqi, dcm2niix, pydicom-seg and a pydicom before 3. Libraries for JavaScript
are looked for where deploy/install-viewer.sh puts them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from urllib.error import HTTPError

import highdicom as hd
import numpy as np
import SimpleITK
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.datadict import keyword_for_tag
from pydicom.uid import ExplicitVRLittleEndian

from pipeline.encode.bundle import encode, part10
from pipeline.encode.result.kinds import TRANSFER_SYNTAXES, ResultKind
from pipeline.encode.result.products import HeatmapForm, SegmentationForm
from pipeline.series.volume import assemble
from pipeline.synthetic.phantom.dicom import phantom_datasets
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from tests.acceptance.support.orthanc import running_orthanc
from tests.acceptance.support.samples import EVERYTHING
from tests.acceptance.support.viewed import true_analysis
from tests.support.paths import ROOT
from tests.support.samples import encode_samples

SPEC = PhantomSpec(seed=11, slices=32, size=128, spacing_mm=6.0, lesions=3)
MARKS = ("<!-- made: readers -->\n", "<!-- /made -->\n")
YES, NO = "yes", "no"
EQUAL = "yes, pixels equal"
SECONDS = 120
GDCM_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancGdcm.so")  #: decodes JPEG 2000
MODULES = ROOT / ".viewer" / "npm" / "node_modules"  #: of JavaScript
PIXELS = {"PixelData", "FloatPixelData"}
PYDICOM_SEG = (
    "import sys, pydicom, pydicom_seg;"
    "pydicom_seg.SegmentReader().read(pydicom.dcmread(sys.argv[1]))"
)

Answer = str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """One object, as it is kept or in explicit VR."""

    path: Path
    dataset: Dataset  #: as it was made, uncompressed

    @property
    def has_pixels(self) -> bool:
        """Whether it is an image."""
        return bool(PIXELS & {keyword_for_tag(tag) for tag in self.dataset.keys()})  # noqa: SIM118  # pydicom's

    @property
    def modality(self) -> str:
        """Modality."""
        return str(self.dataset.Modality)

    @property
    def pixels(self) -> NDArray[np.generic]:
        """Decoded pixels, all frames."""
        return encode_samples.read_back(self.dataset).pixel_array


Read = Callable[[Sample], Answer]


def samples() -> dict[str, list[Dataset]]:
    """One object of each kind and form, by the name of its row."""
    phantom = make_phantom(SPEC)
    series = assemble(phantom_datasets(phantom, seed=SPEC.seed))
    found = true_analysis(phantom, series)
    other = replace(
        EVERYTHING, segmentation=SegmentationForm.LABELMAP, heatmap=HeatmapForm.MULTI_FRAME
    )
    names: dict[str, list[Dataset]] = {}
    for products in (EVERYTHING, other):
        context = encode_samples.context(products=products)
        for item in encode(series, found, context).objects:
            names.setdefault(_row(item.kind, item.dataset), []).append(item.dataset)
    return {name: datasets[:1] for name, datasets in names.items()}


def _row(kind: ResultKind, dataset: Dataset) -> str:
    forms = {
        (ResultKind.SEGMENTATION, True): "segmentation, label map",
        (ResultKind.SEGMENTATION, False): "segmentation, binary",
        (ResultKind.HEATMAP, True): "heatmap, multi-frame",
        (ResultKind.HEATMAP, False): "heatmap, single-frame",
    }
    many = dataset.get("SegmentationType") == "LABELMAP" or (
        kind is ResultKind.HEATMAP and "NumberOfFrames" in dataset
    )
    return forms.get((kind, many), str(kind).replace("-", " "))


def by_pydicom(sample: Sample) -> Answer:
    """Read by pydicom."""
    ds = dcmread(sample.path)
    return _compared(ds.pixel_array, sample) if sample.has_pixels else YES


def by_highdicom(sample: Sample) -> Answer:
    """Read by highdicom."""
    if sample.modality == "SEG":
        seg = hd.seg.segread(sample.path)
        return _compared(seg.pixel_array, sample)
    if sample.modality == "SR":
        hd.sr.srread(sample.path)
        return YES
    if sample.modality == "KO":
        hd.ko.KeyObjectSelectionDocument.from_dataset(dcmread(sample.path))
        return YES
    if "FloatPixelData" in sample.dataset:
        found = hd.pm.ParametricMap.from_dataset(dcmread(sample.path))
        return _compared(found.pixel_array, sample)
    if sample.has_pixels:
        return _compared(hd.imread(sample.path).get_stored_frames(), sample)
    return "no such object"


def by_simple_itk(sample: Sample) -> Answer:
    """Read by SimpleITK, whose reader is GDCM."""
    if not sample.has_pixels:
        return "no images"
    return _compared(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(sample.path))), sample)


def by_dcmtk(sample: Sample) -> Answer:
    """Read by DCMTK."""
    if sample.modality in {"SR", "KO"}:
        return _ran("dsrdump", sample.path)
    if not sample.has_pixels:
        return _ran("dcmdump", sample.path)
    with tempfile.TemporaryDirectory() as folder:
        return _ran("dcmj2pnm", "+F", "1", sample.path, Path(folder) / "one.pgm")


def by_dcm2niix(sample: Sample) -> Answer:
    """Convert by dcm2niix, which niivue uses."""
    if not sample.has_pixels:
        return "no images"
    with tempfile.TemporaryDirectory() as folder:
        one = Path(folder) / "in"
        one.mkdir()
        shutil.copy(sample.path, one)
        answer = _ran("dcm2niix", "-o", folder, one)
        return answer if list(Path(folder).glob("*.nii*")) else NO


def by_dcmqi(sample: Sample) -> Answer:
    """Read by dcmqi."""
    with tempfile.TemporaryDirectory() as folder:
        to = ("--outputDirectory", folder)
        if sample.modality == "SEG":
            return _ran("segimage2itkimage", "--inputDICOM", sample.path, *to)
        if sample.dataset.SOPClassUID.name == "Parametric Map Storage":
            return _ran("paramap2itkimage", "--inputDICOM", sample.path, *to)
        if "ContentSequence" in sample.dataset and sample.modality == "SR":
            out = Path(folder) / "one.json"
            return _ran("tid1500reader", "--inputDICOM", sample.path, "--outputMetadata", out)
    return "no such object"


def by_pydicom_seg(sample: Sample) -> Answer:
    """Read by pydicom-seg, which needs a pydicom before 3."""
    if sample.modality != "SEG":
        return "segmentations only"
    return _ran("python", "-c", PYDICOM_SEG, sample.path)


def by_javascript(library: str) -> Read:
    """Reader by a library that browsers use; it parses and, without a browser, draws nothing."""

    def read(sample: Sample) -> Answer:
        done = subprocess.run(
            ["node", Path(__file__).with_name("parse.cjs"), library, sample.path],
            env={**os.environ, "NODE_PATH": str(MODULES)},
            capture_output=True,
            check=False,
            timeout=SECONDS,
        )
        if done.returncode:
            return NO
        told = json.loads(done.stdout.splitlines()[-1])
        whole = told["sopClass"] == sample.dataset.SOPClassUID
        return "parsed" if whole and bool(told["size"]) == sample.has_pixels else NO

    return read


def _javascript(library: str) -> tuple[str, Read | None]:
    """Name, with the version, and reader of a library; None where it is not installed."""
    package = MODULES / library / "package.json"
    if not package.exists() or program("node") is None:
        return library, None
    return f"{library} {json.loads(package.read_text())['version']}", by_javascript(library)


def _compared(array: NDArray[np.generic], sample: Sample) -> Answer:
    expected = np.squeeze(sample.pixels)
    found = np.squeeze(array)
    if found.shape != expected.shape:
        return f"{YES}, as {' x '.join(map(str, found.shape))}"
    if sample.dataset.get("BitsAllocated") == 1:  # GDCM gives 255 for 1
        found = found > 0
    return EQUAL if np.array_equal(found, expected) else "no: other pixels"


def program(name: str) -> str | None:
    """Path of a program."""
    more = os.environ.get("DICOM_NODE_READERS", "")
    if name == "python":
        return shutil.which(name, path=more) if more else None
    return shutil.which(name, path=os.pathsep.join(filter(None, (more, os.environ["PATH"]))))


def _ran(name: str, *arguments: str | Path) -> Answer:
    command = [str(program(name)), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=SECONDS)
    if done.returncode == 0:
        return YES
    return f"{NO}: ends with {done.returncode}"


def _asked(url: str, method: str = "GET", data: bytes | None = None) -> bytes:
    request = urllib.request.Request(url, data, method=method)  # noqa: S310  # on loopback
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310  # the same
        content: bytes = answer.read()
    return content


def by_orthanc(rest: str) -> Read:
    """Reader that has Orthanc draw the first frame."""

    def read(sample: Sample) -> Answer:
        kept = json.loads(_asked(f"{rest}/instances", "POST", sample.path.read_bytes()))
        instance = f"{rest}/instances/{kept['ID']}"
        try:
            if sample.has_pixels:
                _asked(f"{instance}/preview")
        except HTTPError:
            return "yes, kept; not drawn"
        finally:  # it keeps the first of one UID
            _asked(instance, "DELETE")
        return "yes, drawn" if sample.has_pixels else "yes, kept"

    return read


def readers(stack: ExitStack) -> dict[str, Read | None]:
    """Every reader by name and version; None where it is not installed."""
    seg = program("python") is not None
    found: dict[str, Read | None] = {
        f"pydicom {version('pydicom')}": by_pydicom,
        f"highdicom {version('highdicom')}": by_highdicom,
        f"SimpleITK {version('SimpleITK')} (GDCM)": by_simple_itk,
        "DCMTK": by_dcmtk if program("dcmj2pnm") else None,
        "dcmqi": by_dcmqi if program("segimage2itkimage") else None,
        "dcm2niix": by_dcm2niix if program("dcm2niix") else None,
        "pydicom-seg": by_pydicom_seg if seg else None,
        **dict(_javascript(library) for library in ("dcmjs", "dwv")),
        "Orthanc": None,
    }
    if program("Orthanc"):
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        plugins = [str(GDCM_PLUGIN)] if GDCM_PLUGIN.exists() else []
        orthanc = stack.enter_context(running_orthanc(folder, Plugins=plugins))
        found["Orthanc"] = by_orthanc(orthanc.rest)
    return found


def answers(found: dict[str, Read | None]) -> Iterator[tuple[str, ...]]:
    """Rows of the table."""
    with tempfile.TemporaryDirectory() as folder:
        for name, (dataset,) in samples().items():
            kept = TRANSFER_SYNTAXES[dataset.SOPClassUID]
            cells = []
            for read in found.values():
                told = []
                for syntax in dict.fromkeys((kept, ExplicitVRLittleEndian)):
                    path = Path(folder) / "one.dcm"
                    path.write_bytes(part10(dataset, syntax))
                    told.append(_answer(read, Sample(path=path, dataset=dataset)))
                cells.append(_cell(told))
            yield (name, kept.name, *cells)


def _answer(read: Read | None, sample: Sample) -> Answer:
    if read is None:
        return "not run"
    try:
        return read(sample)
    except Exception as fault:  # noqa: BLE001  # whatever a reader throws is its answer
        return f"{NO}: {type(fault).__name__}"


def _cell(told: Sequence[Answer]) -> str:
    """Answer for the object as it is kept; the other as well where it differs."""
    first, last = told[0], told[-1]
    return first if first == last else f"{first}; uncompressed: {last}"


def table() -> str:
    """Markdown of the table."""
    with ExitStack() as stack:
        found = readers(stack)
        heads = ("result", "kept in", *found)
        rows = [heads, ("---",) * len(heads), *answers(found)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def main() -> None:
    """Put the table into a document, between its marks."""
    path = Path(sys.argv[1])
    text = path.read_text(encoding="utf-8")
    before, _, rest = text.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    path.write_text(f"{before}{MARKS[0]}{table()}{MARKS[1]}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
