"""Corrections beside a manifest are read; a file that holds none is refused with its faults."""

from datetime import date
from pathlib import Path

import pytest

from pipeline.errors import ModelError
from pipeline.model.errata import ERRATA, Erratum, read_errata
from pipeline.model.manifest import BUNDLED, read_manifest


def test_a_model_without_the_file_has_no_errata(tmp_path: Path) -> None:
    assert read_errata(tmp_path) == ()


def test_errata_are_read_in_their_order(tmp_path: Path) -> None:
    (tmp_path / ERRATA).write_text(
        '[{"date": "2026-01-02", "text": "One."}, {"date": "2026-01-01", "text": "Two."}]'
    )

    assert read_errata(tmp_path) == (
        Erratum(date=date(2026, 1, 2), text="One."),
        Erratum(date=date(2026, 1, 1), text="Two."),
    )


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"[", "file: Invalid JSON"),
        (b"\xff\xfe", "file: Invalid JSON"),
        (b"{}", "file: Input should be a valid array"),
        (b'[{"date": "soon", "text": "One."}]', "0.date: Input should be a valid date"),
        (b'[{"date": "2026-01-02", "text": ""}]', "0.text: String should have at least 1"),
        (b'[{"date": "2026-01-02"}]', "0.text: Field required"),
        (b'[{"date": "2026-01-02", "text": "One.", "by": "me"}]', "0.by: Extra inputs"),
    ],
)
def test_a_faulty_file_is_refused(tmp_path: Path, content: bytes, fault: str) -> None:
    (tmp_path / ERRATA).write_bytes(content)

    with pytest.raises(ModelError) as refused:
        read_errata(tmp_path)

    assert str(refused.value).startswith("errata.json is not as expected, a list of corrections")
    assert fault in str(refused.value)


def test_a_folder_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / ERRATA).mkdir()

    with pytest.raises(ModelError, match=r"expected a readable errata\.json, got"):
        read_errata(tmp_path)


def test_the_bundled_models_card_says_that_its_classifier_learnt_from_masks() -> None:
    card = read_manifest(BUNDLED)[0].card

    assert any("exact masks of the opacities" in line for line in card.trained_on)
