"""Results of real chest CT pass the validators, with everything switched on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydicom import dcmread

from pipeline.analyse import analyse
from pipeline.encode.result.kinds import ResultKind
from pipeline.model.loading import load
from pipeline.model.manifest import BUNDLED
from pipeline.options import AnalysisOptions
from pipeline.series.volume import assemble
from tests.acceptance.support import validators
from tests.acceptance.support.findings import IMAGES, findings_of
from tests.acceptance.support.samples import EVERYTHING, Written, write_results
from tests.acceptance.support.tolerated import not_tolerated
from tests.support.paths import REAL_CASES
from tests.support.samples import encode_samples

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.slow,
    pytest.mark.real,
    pytest.mark.timeout(900),
]

OPTIONS = AnalysisOptions(lesions_when_negative=True)


QUICK = ("covid-01", "cap-01")  #: cases of which the others are of the long tests


@pytest.fixture(
    scope="module",
    params=[
        case if case in QUICK else pytest.param(case, marks=pytest.mark.long) for case in REAL_CASES
    ],
)
def written(
    request: pytest.FixtureRequest, real_ct: Path, tmp_path_factory: pytest.TempPathFactory
) -> Written:
    """Each case analysed once."""
    paths = tuple(sorted((real_ct / request.param).glob("*.dcm")))
    series = assemble([dcmread(path) for path in paths])
    found = analyse(series, load(BUNDLED, torch.device("cpu")), OPTIONS, lambda *_: None)
    folder = tmp_path_factory.mktemp(request.param)
    context = encode_samples.context(products=EVERYTHING)
    return Written(
        sample=request.param,
        source=paths,
        results=write_results(series, found, context, folder),
    )


def test_objects_entities_and_reports_are_valid(written: Written) -> None:
    made = {kind for kind, _ in written.results}
    assert made | {ResultKind.KEY_IMAGES} == set(ResultKind)  # none without an opacity
    assert not_tolerated(findings_of(written)) == []


def test_dcmtk_paints_the_first_picture_of_each_kind(written: Written, tmp_path: Path) -> None:
    for kind in IMAGES:
        frames = validators.pictures(written.of_kind(kind)[0], tmp_path)

        assert any(frame.max() > frame.min() for frame in frames), kind
