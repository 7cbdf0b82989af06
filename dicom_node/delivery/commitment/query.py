"""Check by C-FIND (PS3.4 Annex C) that an archive has the objects that it accepted.

For destinations without storage commitment. An archive that has an object today may lose it
tomorrow: a match is no promise.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from dicom_node.delivery.commitment.request import CommitmentRequester, Objects, record_report
from dicom_node.network.association import Peer
from dicom_node.network.query_scu import QueryFailed, archive, keys
from dicom_node.network.status_codes import NO_SUCH_SOP_INSTANCE
from storage.delivery.commitments import Report, group_by_series

INDEXING = timedelta(seconds=60)  #: archives answer a C-STORE before the object is in their index
MOST_FAILURES = 3  #: queries in a row without an answer, before the archive is at fault
MAXIMUM_OBJECTS = 10_000  #: of one series of results; more than a CT has slices

Whereabouts = Mapping[tuple[str, str], set[str]]  #: study and series to objects, all by UID


class StoredCheck(CommitmentRequester):
    """Requests commitment from one archive in the form of a query."""

    means = "verification by query"
    first_after = INDEXING

    def _ask(self, transaction_uid: str, due: Objects) -> str:
        with self._resources.sessions() as session:
            places = group_by_series(session, [uid for _, uid in due])
        stored, missing, trouble, failures = set[str](), set[str](), "", 0
        for place, objects in places.items():
            try:
                found = stored_objects({place: objects}, self._peer, calling_ae=self._calling_ae)
            except QueryFailed as fault:  # concerns this series alone, but for a peer that is away
                trouble, failures = str(fault), failures + 1
                if failures >= MOST_FAILURES:
                    break
                continue
            failures = 0
            stored |= found
            missing |= objects - found
        if stored or missing:
            report = Report(
                transaction_uid=transaction_uid,
                committed=stored,
                failed=dict.fromkeys(missing, NO_SUCH_SOP_INSTANCE),
                means=self.means,
            )
            record_report(report, self._resources)
        return trouble


def stored_objects(places: Whereabouts, peer: Peer, *, calling_ae: str) -> frozenset[str]:
    """Query an archive for objects, once for each series; return those that it has.

    Raises
    ------
    QueryFailed
        If the archive did not answer all queries, or not with what was asked for.
    """
    stored: set[str] = set()
    with archive(peer, calling_ae=calling_ae) as queried:
        for (study, series), objects in places.items():
            identifier = keys(
                "IMAGE", StudyInstanceUID=study, SeriesInstanceUID=series, SOPInstanceUID=""
            )
            matches = queried.find(identifier, limit=MAXIMUM_OBJECTS)
            found = {str(match.get("SOPInstanceUID") or "") for match in matches}
            if "" in found:  # of an instance, the unique key is required: PS3.4 C.4.1.1.3.2
                raise QueryFailed("the archive's answers do not name their instances")
            stored |= objects & found
    return frozenset(stored)
