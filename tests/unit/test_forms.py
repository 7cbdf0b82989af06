"""A destination that declines a form gets the plainer one that says the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import (
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from config.destinations import DicomDestination
from config.settings import Results, Settings
from dicom_node.analysis.request_builder import Briefing
from dicom_node.assembly import briefing_of
from dicom_node.resources import Store
from pipeline.encode.result.products import (
    LABEL_MAP_STORAGE,
    HeatmapForm,
    Products,
    SegmentationForm,
)
from storage.delivery.capabilities import Capability, note_capabilities
from storage.series.lifecycle import SeriesTicket, claim_next
from tests.unit.analyst_samples import NOW, open_store
from tests.unit.test_lifecycle import receive

FRAMES, PICTURES = MultiFrameTrueColorSecondaryCaptureImageStorage, SecondaryCaptureImageStorage


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(tmp_path)
    yield store
    store.sessions.kw["bind"].dispose()


def destination(name: str, *, enabled: bool = True) -> DicomDestination:
    return DicomDestination(name=name, ae_title=name, host="127.0.0.1", port=104, enabled=enabled)


SETTINGS = Settings(
    results=Results(segmentation="labelmap", heatmap="multi-frame"),
    destinations=(destination("PACS"), destination("VNA"), destination("OLD", enabled=False)),
)


def says(store: Store, name: str, **takes: bool) -> None:
    classes = {"labels": LABEL_MAP_STORAGE, "bits": SegmentationStorage}
    classes |= {"frames": FRAMES, "pictures": PICTURES}
    found = [
        Capability(sop_class_uid=classes[each], transfer_syntax_uid="1.2" if taken else "")
        for each, taken in takes.items()
    ]
    with store.sessions.begin() as session:
        note_capabilities(session, name, found, NOW)


@pytest.fixture
def ticket(store: Store) -> SeriesTicket:
    receive(store)
    with store.sessions.begin() as session:
        found = claim_next(session, NOW)
    assert found is not None
    return found


def wanted(briefing: Briefing, ticket: SeriesTicket) -> tuple[SegmentationForm, HeatmapForm]:
    products: Products = briefing.request(ticket).analyser.products
    return products.segmentation, products.heatmap


AS_WANTED = (SegmentationForm.LABELMAP, HeatmapForm.MULTI_FRAME)
PLAINER = (SegmentationForm.BINARY, HeatmapForm.SINGLE_FRAME)


def test_of_one_that_was_never_asked_nothing_is_known(store: Store, ticket: SeriesTicket) -> None:
    assert wanted(briefing_of(SETTINGS, store), ticket) == AS_WANTED


def test_what_one_declines_is_made_plainer(store: Store, ticket: SeriesTicket) -> None:
    briefing = briefing_of(SETTINGS, store)
    says(store, "PACS", labels=True, bits=True, frames=True, pictures=True)
    assert wanted(briefing, ticket) == AS_WANTED
    says(store, "VNA", labels=False, bits=True, frames=False, pictures=True)
    assert wanted(briefing, ticket) == PLAINER
    says(store, "VNA", labels=True, bits=True, frames=True, pictures=True)
    assert wanted(briefing, ticket) == AS_WANTED


def test_one_that_takes_neither_changes_nothing(store: Store, ticket: SeriesTicket) -> None:
    says(store, "VNA", labels=False, bits=False, frames=False, pictures=False)
    assert wanted(briefing_of(SETTINGS, store), ticket) == AS_WANTED


def test_one_that_gets_nothing_has_no_say(store: Store, ticket: SeriesTicket) -> None:
    says(store, "OLD", labels=False, bits=True, frames=False, pictures=True)
    assert wanted(briefing_of(SETTINGS, store), ticket) == AS_WANTED


def test_a_site_that_wants_the_plainer_gets_it(store: Store, ticket: SeriesTicket) -> None:
    says(store, "PACS", labels=True, bits=False, frames=True, pictures=False)
    assert wanted(briefing_of(Settings(destinations=SETTINGS.destinations), store), ticket) == (
        PLAINER
    )
