"""The protocol of an acceptance: what is open, and the document that says so."""

import json
import zlib
from base64 import a85decode
from dataclasses import replace
from pathlib import Path
from re import DOTALL, findall

import pytest
from PIL import Image

from config.destinations import DicomDestination
from config.settings import Settings
from dicom_node.commission.document import write_document
from dicom_node.commission.protocol import (
    DestinationSeen,
    ProbedClass,
    Protocol,
    figures_of,
    seen,
    software_lines,
    threshold_lines,
)
from dicom_node.demo.stand_in_pacs import StandInPacs
from dicom_node.monitoring.catalogue import RUN
from dicom_node.self_test.judgement import Expectation, Figures, judge
from pipeline.model.manifest import BUNDLED, read_manifest
from storage.states import SelfTestState
from tests.support.dispatcher_samples import NOW
from tests.support.node_process import free_port
from tests.support.scanner_groups import write_model_with_groups

FIGURES = Figures(score=0.58, lungs_ml=4555, opacities_ml=37.4)
VERDICT = json.dumps(judge(FIGURES, Expectation(source="known", figures=FIGURES)).as_json())
PASSED = replace(RUN, began_at=NOW, ended_at=NOW, verdict=VERDICT, model="m 1")


@pytest.fixture
def protocol(tmp_path: Path) -> Protocol:
    picture = tmp_path / "one.png"
    Image.new("RGB", (600, 300)).save(picture)
    return Protocol(
        at=NOW,
        installation=[("AE title", "AINODE")],
        software=[("dicom-node", "1")],
        thresholds=[("scores are called positive above", "0.44")],
        faults=(),
        doubts=(),
        destinations=[
            DestinationSeen(
                name="PACS",
                address="PACS@127.0.0.1:104",
                fault="",
                classes=[ProbedClass(name="Enhanced SR Storage", taken=True)],
            )
        ],
        self_test=PASSED,
        pictures=[picture],
    )


def destination(port: int) -> DicomDestination:
    return DicomDestination(name="PACS", ae_title="PACS", host="127.0.0.1", port=port)


def pages(file: Path) -> list[bytes]:
    """What draws each page."""
    streams = findall(rb"stream\r?\n(.*?)endstream", file.read_bytes(), DOTALL)
    drawn = []
    for stream in streams:
        try:
            drawn.append(zlib.decompress(a85decode(stream.strip().removesuffix(b"~>"))))
        except (ValueError, zlib.error):
            continue  # a font, or a picture
    return [one for one in drawn if b" Tj" in one]


def test_nothing_is_open_where_all_is_in_order(protocol: Protocol) -> None:
    assert protocol.open_points == []


@pytest.mark.parametrize(
    ("change", "point"),
    [
        ({"faults": ["[node] bind: no"]}, "settings: [node] bind: no"),
        ({"destinations": []}, "no destination is enabled: results stay here"),
        (
            {"destinations": [DestinationSeen(name="PACS", address="", fault="away")]},
            "destination PACS: away",
        ),
        (
            {"self_test": replace(PASSED, state=SelfTestState.FAILED, reason="score")},
            "self-test: score",
        ),
        ({"pictures": [], "no_pictures": "none"}, "pictures: none"),
    ],
)
def test_what_is_not_in_order_is_open(
    protocol: Protocol, change: dict[str, object], point: str
) -> None:
    assert replace(protocol, **change).open_points == [point]  # type: ignore[arg-type]  # by name


def test_the_document_is_written_with_its_pictures_on_pages_of_their_own(
    protocol: Protocol, tmp_path: Path
) -> None:
    write_document(protocol, tmp_path / "a.pdf")
    write_document(replace(protocol, pictures=[]), tmp_path / "b.pdf")

    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF-")
    assert len(pages(tmp_path / "a.pdf")) == len(pages(tmp_path / "b.pdf")) + 1


def test_words_of_others_are_no_markup(protocol: Protocol, tmp_path: Path) -> None:
    fault = DestinationSeen(name="<b>", address="a & b", fault="<para>")

    write_document(replace(protocol, destinations=[fault]), tmp_path / "a.pdf")

    assert pages(tmp_path / "a.pdf")


def test_a_destination_is_called_and_asked_for_every_class(pacs: StandInPacs) -> None:
    answered = seen(Settings(), destination(pacs.port))

    assert (answered.fault, answered.address) == ("", f"PACS@127.0.0.1:{pacs.port}")
    taken = {one.name: one.taken for one in answered.classes}
    assert taken["Segmentation Storage"]
    assert not all(taken.values())


def test_one_that_does_not_answer_has_its_reason() -> None:
    answered = seen(Settings(), destination(free_port()))

    assert "nothing listens on port" in answered.fault
    assert answered.classes == ()


def test_figures_stand_beside_what_was_expected() -> None:
    assert figures_of(PASSED)[0] == ("score", "0.58", "0.58")
    assert figures_of(replace(PASSED, verdict="")) == []


def test_versions_and_thresholds_are_those_of_the_model_and_the_settings() -> None:
    site = Settings()
    site = site.model_copy(update={"analysis": site.analysis.model_copy(update={"threshold": 0.7})})

    bundled = read_manifest(BUNDLED)[0]
    assert bundled.conformal is not None
    level = bundled.conformal.levels[0]
    assert dict(software_lines(site))["model"] == f"{bundled.name} {bundled.version}"
    assert dict(threshold_lines(site))["scores are called positive above"] == "0.7000"
    assert dict(threshold_lines(Settings()))["which is"] == "the model's"
    assert dict(threshold_lines(Settings()))["scores are called positive above"] == (
        f"{level.negative_at_most:.4f}"
    )
    assert dict(threshold_lines(Settings()))["and are indeterminate from"] == (
        f"{level.positive_at_least:.4f}"
    )
    assert dict(threshold_lines(site))["and are indeterminate from"] == "none is"


def test_bounds_of_scanner_groups_are_named_where_they_are_in_use(tmp_path: Path) -> None:
    model = write_model_with_groups(tmp_path / "model")

    def by_scanner(**chosen: object) -> str:
        settings = Settings.model_validate({"analysis": {"model": model, **chosen}})
        return dict(threshold_lines(settings))["by scanner"]

    assert by_scanner(bounds_by_scanner=True) == "north 0.6000 to 0.8000"
    for chosen in ({}, {"bounds_by_scanner": True, "threshold": 0.3}):
        assert by_scanner(**chosen) == "no: alike for all scanners"
