"""Fast Storage SCU: the peer gets the file's data set, and any form of response is understood."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dicom_node.delivery.outgoing_file import OutgoingFile
from dicom_node.delivery.proof import judge
from dicom_node.delivery.store_scu import send
from tests.support.peers.part10 import part10_file
from tests.support.peers.wire_client import packed, values
from tests.support.peers.wire_scp import RELEASE_TYPE, Visit, WireScp, response

BUFFER = 1 << 18  #: bytes that are written at once
BOUNDED = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@st.composite
def lengths(draw: st.DrawFn) -> tuple[int, int]:
    """A maximum length of a PDU, and the size of a data set near a multiple of it."""
    limit = draw(st.integers(8, 300) | st.sampled_from([4096, 16384, 131072, BUFFER, 2 * BUFFER]))
    pieces = draw(st.integers(0, 3 if limit > 4096 else 12))
    return limit, max(8, pieces * (limit - 6) + draw(st.integers(-14, 14)))


@BOUNDED
@given(limit_and_size=lengths())
@example((0, 8))
@example((0, 2 * BUFFER - 12))
@example((BUFFER - 6, BUFFER - 12))
def test_the_data_set_arrives(tmp_path: Path, limit_and_size: tuple[int, int]) -> None:
    limit, size = limit_and_size
    body = (bytes(range(8, 255)) * (size // 247 + 1))[:size]
    file = OutgoingFile.of(part10_file(tmp_path / "one.dcm", body))
    with WireScp(maximum_length=limit) as scp:
        ((_, outcome),) = send([file], scp.peer(), calling_ae="NODE")

    (visit,) = scp.visits
    assert outcome == judge(0)
    assert visit.messages[0][1] == body
    assert visit.longest <= (limit or BUFFER)
    assert visit.end == RELEASE_TYPE


sizes = st.lists(st.integers(1, 90), min_size=1, max_size=5)


@BOUNDED
@given(
    status=st.integers(0, 0xFFFF),
    value_sizes=sizes,
    values_per_pdu=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    writes=sizes,
)
def test_the_answer_is_understood(
    tmp_path: Path,
    status: int,
    value_sizes: list[int],
    values_per_pdu: list[int],
    writes: list[int],
) -> None:
    file = OutgoingFile.of(part10_file(tmp_path / "one.dcm", b"data set"))

    def behave(visit: Visit) -> None:
        visit.message()
        chosen = values(1, 1, response(status=status), value_sizes)
        visit.send(packed(chosen, values_per_pdu), writes)
        visit.serve()

    with WireScp(behave) as scp:
        found = [outcome for _, outcome in send([file] * 2, scp.peer(), calling_ae="NODE")]

    assert found == [judge(status), judge(0)]
    assert [visit.end for visit in scp.visits] == [RELEASE_TYPE]


@BOUNDED
@given(
    nonsense=st.binary(min_size=6, max_size=80)
    | st.binary(max_size=60).map(lambda b: b"\x04\0" + len(b).to_bytes(4) + b)
)
def test_anything_else_is_no_answer(tmp_path: Path, nonsense: bytes) -> None:
    file = OutgoingFile.of(part10_file(tmp_path / "one.dcm", b"data set"))

    def behave(visit: Visit) -> None:
        visit.message()
        visit.send(nonsense)

    with WireScp(behave) as scp:
        ((_, outcome),) = send([file], scp.peer(), calling_ae="NODE")

    assert outcome.detail == "no answer to C-STORE"
    assert len(scp.visits) == 1
