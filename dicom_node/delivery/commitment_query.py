"""Verification by query: whether an archive has what it accepted (C-FIND, PS3.4 Annex C).

For destinations that do not offer storage commitment; see `storage.delivery.commitments` for what follows
from the answers. An archive that has an object today may lose it tomorrow: a match is no promise.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from dicom_node.delivery.commitment_scu import answered, not_answered, open_request
from dicom_node.network.association import Peer
from dicom_node.network.query_scu import QueryFailed, archive, keys
from dicom_node.network.status import NO_SUCH_SOP_INSTANCE
from dicom_node.resources import Resources
from storage.delivery.commitments import Report, whereabouts

MEANS = "verification by query"
PATIENCE = timedelta(seconds=60)  #: archives answer a C-STORE before the object is in their index
MAXIMUM_OBJECTS = 10_000  #: of one series of results; more than a CT has slices

Whereabouts = Mapping[tuple[str, str], set[str]]  #: study and series to objects, all by UID


class StoredCheck:
    """Asks one archive whether it has what it accepted.

    Parameters
    ----------
    again
        Time after which the same is asked again, if there is no answer.
    patience
        Time that the archive gets between accepting and being asked.
    """

    def __init__(
        self,
        name: str,
        peer: Peer,
        *,
        calling_ae: str,
        again: timedelta,
        resources: Resources,
        first_after: timedelta = PATIENCE,
    ) -> None:
        self.name = name
        self.first_after = first_after
        self._peer = peer
        self._calling_ae = calling_ae
        self._again = again
        self._resources = resources

    def round(self) -> None:
        """Ask for everything that is due; give up what was asked for often enough."""
        transaction_uid, wanted = open_request(
            self._resources, self.name, again=self._again, means=MEANS
        )
        if not wanted:
            return
        with self._resources.sessions() as session:
            places = whereabouts(session, [uid for _, uid in wanted])
        try:
            held = held_of(places, self._peer, calling_ae=self._calling_ae)
        except QueryFailed as fault:
            not_answered(self._resources, self.name, transaction_uid, str(fault))
            return
        missing = set().union(*places.values()) - held
        report = Report(
            transaction_uid=transaction_uid,
            committed=held,
            failed=dict.fromkeys(missing, NO_SUCH_SOP_INSTANCE),
            means=MEANS,
        )
        answered(report, self._resources)


def held_of(places: Whereabouts, peer: Peer, *, calling_ae: str) -> frozenset[str]:
    """Find out which objects an archive has: one query for each series.

    Raises
    ------
    QueryFailed
        If it did not answer for all of them.
    """
    held: set[str] = set()
    with archive(peer, calling_ae=calling_ae) as found:
        for (study, series), objects in places.items():
            asked = keys(
                "IMAGE", StudyInstanceUID=study, SeriesInstanceUID=series, SOPInstanceUID=""
            )
            matches = found.find(asked, limit=MAXIMUM_OBJECTS)
            held |= objects & {str(each.get("SOPInstanceUID", "")) for each in matches}
    return frozenset(held)
