"""Every task of a worker gets by with fetched files, and none is left when it has ended."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from config.settings import Settings
from dicom_node.analysis.configuration import analysis_config_of
from dicom_node.analysis.fetch.access import by_way_of
from dicom_node.analysis.fetch.offer import OfferedFile, offered_files
from dicom_node.analysis.fetch.private_folder import PrivateFolder
from dicom_node.analysis.fetch.stream import messages_of, receive
from dicom_node.analysis.offline import source_files
from dicom_node.analysis.worker.ends_task import look_at_ends
from dicom_node.analysis.worker.feedback_task import read_feedback
from dicom_node.analysis.worker.findings import find_ahead
from dicom_node.analysis.worker.inputs import inputs_of, source_digest
from dicom_node.analysis.worker.messages import (
    AnalysisRequest,
    Answered,
    EncodedObject,
    EndsRequest,
    EndsSeen,
    FeedbackRequest,
    FoundAhead,
    NoticeRequest,
    ShadowRequest,
    SourceFile,
    Unsuitable,
)
from dicom_node.analysis.worker.notice_task import notice
from dicom_node.analysis.worker.series_task import _read_kept, is_readable, run, with_own_software
from dicom_node.analysis.worker.shadow_task import _kept, find_in_shadow
from dicom_node.errors import NotFetched
from pipeline.analysis_file import to_bytes
from pipeline.options import METHOD
from storage.files.sums import with_sums
from tests.support.samples.encode_samples import analysis
from tests.support.samples.feedback_documents import named, rejection

ELSEWHERE = Path("/of the node")  #: where no worker sees anything


class Fetched:
    """Files below `ELSEWHERE` come in a stream, as a node sends what it has in a folder.

    Attributes
    ----------
    asked
        What was asked for, by the names, one list for each time.
    """

    fetches = True

    def __init__(self, node: Path, here: Path) -> None:
        self._node, self._here = node, PrivateFolder(here, most_bytes=1)
        self._here.prepare()
        self.asked: list[list[str]] = []

    @contextmanager
    def at_hand(self, paths: Sequence[Path], /) -> Iterator[Sequence[Path]]:
        self.asked.append([path.name for path in paths])
        offered = [OfferedFile(path=self._node / path.relative_to(ELSEWHERE)) for path in paths]
        with self._here.of_a_task() as folder:
            yield receive(messages_of(offered).__next__, len(paths), folder)


@pytest.fixture
def fetched(tmp_path: Path) -> Iterator[Fetched]:
    (tmp_path / "node").mkdir()
    access = Fetched(tmp_path / "node", tmp_path / "here")
    with by_way_of(access):
        yield access
    assert list((tmp_path / "here").iterdir()) == []


@pytest.fixture
def series(fetched: Fetched, chest: Path, tmp_path: Path) -> AnalysisRequest:
    """Two slices that the node has."""
    for path in sorted(chest.glob("*.dcm"))[:2]:
        shutil.copy(path, tmp_path / "node" / path.name)
    files = source_files(sorted((tmp_path / "node").glob("*.dcm")))
    return AnalysisRequest(
        series_instance_uid="1.2.3",
        files=tuple(replace(file, path=ELSEWHERE / file.path.name) for file in files),
        config=analysis_config_of(Settings()),
        created=datetime(2026, 1, 1, tzinfo=UTC),
    )


def names(request: AnalysisRequest) -> list[str]:
    return [file.path.name for file in request.files]


def shadow_of(series: AnalysisRequest) -> ShadowRequest:
    """Have a second model look at a series, too."""
    return ShadowRequest(
        series_instance_uid=series.series_instance_uid,
        images=series.images,
        first=series.config.model,
        kept=ELSEWHERE / "analysis.npz",
        task="one",
    )


def test_an_analysis(series: AnalysisRequest, fetched: Fetched) -> None:
    ended = run(series)

    assert isinstance(ended, Unsuitable)
    assert ended.code == "too-few-slices"
    assert fetched.asked == [names(series)]


def test_a_series_that_has_not_changed_is_not_fetched(
    series: AnalysisRequest, fetched: Fetched
) -> None:
    inputs = inputs_of(replace(series, config=with_own_software(series.config)))
    run(replace(series, earlier=(inputs,)))
    assert fetched.asked == []


def test_nothing_is_found_ahead(series: AnalysisRequest, fetched: Fetched) -> None:
    assert find_ahead(series.images) == FoundAhead(kept=False)
    assert fetched.asked == []


def test_a_notice_has_one_instance_here_at_a_time(
    series: AnalysisRequest, fetched: Fetched
) -> None:
    asked = NoticeRequest(series=series, inputs="i", key="k", code="too-few-slices", text="Few.")
    assert isinstance(notice(asked), EncodedObject)
    assert fetched.asked == [[name] for name in names(series)]


def test_a_look_at_end_slices(series: AnalysisRequest, fetched: Fetched) -> None:
    assert isinstance(look_at_ends(EndsRequest(files=series.files)), EndsSeen)
    assert fetched.asked == [names(series)]


def test_the_reading_of_documents(fetched: Fetched, tmp_path: Path) -> None:
    document = rejection([named("2.25.101", "2.25.9")])
    document.save_as(tmp_path / "node" / "note.dcm", enforce_file_format=True)
    note = SourceFile(path=ELSEWHERE / "note.dcm", sop_instance_uid="", digest="")
    request = FeedbackRequest(series_instance_uid="9", files=(note,), own_uids=frozenset())
    assert isinstance(read_feedback(request), Answered)


def test_a_second_model(series: AnalysisRequest, fetched: Fetched) -> None:
    ended = find_in_shadow(shadow_of(series))

    assert isinstance(ended, Unsuitable)
    assert ended.code == "too-few-slices"
    assert fetched.asked == [["analysis.npz"], names(series)]


def test_a_kept_analysis(series: AnalysisRequest, fetched: Fetched, tmp_path: Path) -> None:
    found = analysis()
    made_by = replace(found.provenance, weights_sha256=series.config.model.sha256)
    kept = to_bytes(replace(found, provenance=made_by), source_digest(series), METHOD)
    for name, content in with_sums({"analysis.npz": kept}).items():
        (tmp_path / "node" / name).write_bytes(content)
    path, shadow = ELSEWHERE / "analysis.npz", shadow_of(series)

    assert _read_kept(series, path)[1] == kept
    assert is_readable(path)
    assert _kept(shadow) is not None

    (tmp_path / "node" / "analysis.npz").write_bytes(kept[:-1])
    assert not is_readable(path)
    assert _kept(shadow) is None
    (tmp_path / "node" / "analysis.npz").unlink()
    assert not is_readable(path)


def test_what_cannot_be_fetched_says_nothing_of_the_series(series: AnalysisRequest) -> None:
    class Cut(Fetched):
        @contextmanager
        def at_hand(self, paths: Sequence[Path], /) -> Iterator[Sequence[Path]]:
            raise NotFetched("the node sent no file")
            yield paths

    asked = NoticeRequest(series=series, inputs="i", key="k", code="too-few-slices", text="Few.")
    with by_way_of(Cut.__new__(Cut)):
        for act in (lambda: run(series), lambda: notice(asked)):
            with pytest.raises(NotFetched):
                act()


def test_a_node_offers_the_files_of_a_request_and_no_others(series: AnalysisRequest) -> None:
    kept = replace(series, kept=ELSEWHERE / "analysis.npz")
    asked = NoticeRequest(series=kept, inputs="i", key="k", code="c", text="t")
    for request in (kept, asked, shadow_of(series)):
        assert [file.path.name for file in offered_files(request)] == [
            *names(series),
            "analysis.npz",
        ]
    for images in (
        series.images,
        EndsRequest(files=series.files),
        FeedbackRequest(series_instance_uid="9", files=series.files, own_uids=frozenset()),
    ):
        assert [file.path.name for file in offered_files(images)] == names(series)
    assert [file.digest for file in offered_files(series)] == [one.digest for one in series.files]
    assert offered_files("anything else") == ()
