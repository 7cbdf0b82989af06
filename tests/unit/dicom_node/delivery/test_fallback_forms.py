"""A destination that declines a form gets the plainer one that says the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from config.destinations import DicomDestination
from config.settings import ResultsSettings, Settings
from dicom_node.analysis.request_builder import RequestBuilder
from dicom_node.assembly.analysis import request_builder_of
from dicom_node.resources import Resources
from pipeline.encode.result.kinds import LABEL_MAP_STORAGE
from pipeline.encode.result.products import HeatmapForm, Products, SegmentationForm
from storage.delivery.capabilities import Capability, record_capabilities
from storage.series.lifecycle import SeriesTicket, claim_next
from tests.support.dispatcher_samples import NOW, open_resources
from tests.support.samples.received_series import receive

FRAMES, PICTURES = MultiFrameTrueColorSecondaryCaptureImageStorage, SecondaryCaptureImageStorage


@pytest.fixture
def resources(tmp_path: Path) -> Iterator[Resources]:
    resources = open_resources(tmp_path)
    yield resources
    resources.sessions.close()


def destination(name: str, *, enabled: bool = True) -> DicomDestination:
    return DicomDestination(name=name, ae_title=name, host="127.0.0.1", port=104, enabled=enabled)


SETTINGS = Settings(
    results=ResultsSettings(segmentation="labelmap", heatmap="multi-frame"),
    destinations=(destination("PACS"), destination("VNA"), destination("OLD", enabled=False)),
)


def says(resources: Resources, name: str, **takes: bool) -> None:
    classes = {"labels": LABEL_MAP_STORAGE, "bits": SegmentationStorage}
    classes |= {"frames": FRAMES, "pictures": PICTURES}
    found = [
        Capability(sop_class_uid=classes[form], transfer_syntax_uid="1.2" if taken else "")
        for form, taken in takes.items()
    ]
    with resources.sessions.begin() as session:
        record_capabilities(session, name, found, NOW)


@pytest.fixture
def ticket(resources: Resources) -> SeriesTicket:
    receive(resources)
    with resources.sessions.begin() as session:
        found = claim_next(session, NOW)
    assert found is not None
    return found


def wanted(
    request_builder: RequestBuilder, ticket: SeriesTicket
) -> tuple[SegmentationForm, HeatmapForm]:
    products: Products = request_builder.build(ticket).config.products
    return products.segmentation, products.heatmap


AS_WANTED = (SegmentationForm.LABELMAP, HeatmapForm.MULTI_FRAME)
PLAINER = (SegmentationForm.BINARY, HeatmapForm.SINGLE_FRAME)


def test_of_one_that_was_never_asked_nothing_is_known(
    resources: Resources, ticket: SeriesTicket
) -> None:
    assert wanted(request_builder_of(SETTINGS, resources), ticket) == AS_WANTED


def test_what_one_declines_is_made_plainer(resources: Resources, ticket: SeriesTicket) -> None:
    request_builder = request_builder_of(SETTINGS, resources)
    says(resources, "PACS", labels=True, bits=True, frames=True, pictures=True)
    assert wanted(request_builder, ticket) == AS_WANTED
    says(resources, "VNA", labels=False, bits=True, frames=False, pictures=True)
    assert wanted(request_builder, ticket) == PLAINER
    says(resources, "VNA", labels=True, bits=True, frames=True, pictures=True)
    assert wanted(request_builder, ticket) == AS_WANTED


def test_one_that_takes_neither_changes_nothing(resources: Resources, ticket: SeriesTicket) -> None:
    says(resources, "VNA", labels=False, bits=False, frames=False, pictures=False)
    assert wanted(request_builder_of(SETTINGS, resources), ticket) == AS_WANTED


def test_one_that_gets_nothing_has_no_say(resources: Resources, ticket: SeriesTicket) -> None:
    says(resources, "OLD", labels=False, bits=True, frames=False, pictures=True)
    assert wanted(request_builder_of(SETTINGS, resources), ticket) == AS_WANTED


def test_a_site_that_wants_the_plainer_gets_it(resources: Resources, ticket: SeriesTicket) -> None:
    says(resources, "PACS", labels=True, bits=False, frames=True, pictures=False)
    assert wanted(
        request_builder_of(Settings(destinations=SETTINGS.destinations), resources), ticket
    ) == (PLAINER)


@pytest.mark.parametrize(
    ("syntax", "columns"),
    [(JPEG2000Lossless, 256), (ExplicitVRLittleEndian, 128), (ImplicitVRLittleEndian, 128)],
)
def test_pictures_are_coarse_for_one_that_takes_them_uncompressed(
    resources: Resources, ticket: SeriesTicket, syntax: str, columns: int
) -> None:
    taken = Capability(sop_class_uid=PICTURES, transfer_syntax_uid=syntax)
    with resources.sessions.begin() as session:
        record_capabilities(session, "VNA", [taken], NOW)

    found = request_builder_of(SETTINGS, resources).build(ticket).config.products
    assert found.heatmap_columns == columns
    assert found.parametric_map_columns == (4096 if columns == 256 else 64)
    assert found.heatmap_step_mm == (4 if columns == 256 else 8)
    as_wanted = ResultsSettings(coarse_if_uncompressed=False)
    settings = Settings(results=as_wanted, destinations=SETTINGS.destinations)
    found = request_builder_of(settings, resources).build(ticket).config.products
    assert (found.heatmap_columns, found.heatmap_step_mm) == (256, 4)
