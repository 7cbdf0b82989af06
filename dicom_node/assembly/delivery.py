"""Make the senders to destinations, and what asks them."""

from __future__ import annotations

from datetime import timedelta

from config.destinations import (
    Destination,
    DicomDestination,
    FhirDestination,
    Hl7Destination,
    ObjectDestination,
    WebDestination,
)
from config.settings import Settings
from dicom_node.assembly.security import credentials_of
from dicom_node.delivery.backoff import Backoff
from dicom_node.delivery.commitment.query import StoredCheck
from dicom_node.delivery.commitment.request import CommitmentRequester
from dicom_node.delivery.commitment.scu import CommitmentScu
from dicom_node.delivery.dicom_sender import DicomSender
from dicom_node.delivery.fhir.fhir_sender import FhirSender
from dicom_node.delivery.hl7.hl7_sender import Hl7Sender
from dicom_node.delivery.hl7.oru import Header
from dicom_node.delivery.sender import Sender
from dicom_node.delivery.stow_sender import StowSender
from dicom_node.delivery.worker import DeliveryWorker, Route
from dicom_node.errors import NodeError
from dicom_node.network.association import Peer
from dicom_node.network.hl7.mllp import MllpPeer
from dicom_node.network.tls import client_context
from dicom_node.resources import Resources
from pipeline.encode.result.kinds import MAIN_DOCUMENTS


def peer_of(settings: Settings, destination: Destination) -> Peer:
    """Make the peer that a destination describes.

    Raises
    ------
    NodeError
        If it is reached otherwise than by DICOM: then there is no association to it.
    """
    if not isinstance(destination, DicomDestination):
        raise NodeError(
            f"expected a destination with an AE title, got {destination.name}, which has none:"
            " it cannot be asked what it takes"
        )
    return Peer(
        ae_title=destination.ae_title,
        host=destination.host,
        port=destination.port,
        timeout_seconds=destination.timeout_seconds,
        tls=credentials_of(settings.tls) if destination.tls else None,
    )


def sender_of(settings: Settings, destination: Destination) -> Sender:
    """Make the sender to one destination."""
    if isinstance(destination, WebDestination):
        return stow_sender_of(settings, destination)
    if isinstance(destination, Hl7Destination):
        return hl7_sender_of(settings, destination)
    if isinstance(destination, FhirDestination):
        return fhir_sender_of(settings, destination)
    return DicomSender(
        peer=peer_of(settings, destination),
        calling_ae=settings.node.ae_title,
        compressed=not isinstance(destination, DicomDestination) or destination.compressed != "no",
    )


def receivers_of(settings: Settings) -> dict[str, frozenset[str]]:
    """Name the enabled destinations, and the kinds of object that each gets; empty for all."""
    return {one.name: kinds_for(one) for one in settings.destinations if one.enabled}


def kinds_for(destination: Destination) -> frozenset[str]:
    """Name the kinds of object that a destination gets; empty for all."""
    if isinstance(destination, ObjectDestination):
        return frozenset()
    return frozenset(map(str, MAIN_DOCUMENTS))


def fhir_sender_of(settings: Settings, destination: FhirDestination) -> FhirSender:
    """Make the sender of FHIR resources to one server."""
    return FhirSender(
        url=destination.fhir,
        timeout_seconds=destination.timeout_seconds,
        user=destination.user,
        password_file=destination.password_file,
        token_file=destination.token_file,
        authorities=settings.tls.authorities,
    )


def hl7_sender_of(settings: Settings, destination: Hl7Destination) -> Hl7Sender:
    """Make the sender of HL7 messages to one receiver.

    Raises
    ------
    NodeError
        If it is called by TLS, and there are no files for that.
    """
    host, _, port = destination.hl7.rpartition(":")
    return Hl7Sender(
        peer=MllpPeer(
            host=host,
            port=int(port),
            seconds=destination.timeout_seconds,
            tls=client_context(credentials_of(settings.tls)) if destination.tls else None,
        ),
        header=Header(
            sending_application=settings.node.ae_title,
            sending_facility=destination.sending_facility,
            receiving_application=destination.receiving_application,
            receiving_facility=destination.receiving_facility,
            character_set=destination.character_set,
        ),
    )


def stow_sender_of(settings: Settings, destination: WebDestination) -> StowSender:
    """Make the sender to one DICOMweb service."""
    return StowSender(
        url=destination.url,
        timeout_seconds=destination.timeout_seconds,
        user=destination.user,
        password_file=destination.password_file,
        token_file=destination.token_file,
        authorities=settings.tls.authorities,
        compressed=destination.compressed == "yes",
    )


def delivery_worker_of(name: str, route: Route, resources: Resources) -> DeliveryWorker:
    """Make the delivery worker of one destination."""
    worker = DeliveryWorker(name, route.sender, backoff=route.backoff, resources=resources)
    worker.take(route)
    return worker


def route_of(settings: Settings, destination: Destination, resources: Resources) -> Route:
    """Say how results get to one destination.

    Raises
    ------
    NodeError
        If it is called by TLS, and there are no files for that.
    """
    delivery = settings.delivery
    return Route(
        sender=sender_of(settings, destination),
        backoff=Backoff(
            first_seconds=delivery.retry_first_seconds,
            factor=delivery.retry_factor,
            max_seconds=delivery.retry_max_seconds,
            give_up_after=timedelta(hours=delivery.give_up_after_hours),
        ),
        requester=commitment_requester_of(settings, destination, resources),
        latest_only=not isinstance(destination, ObjectDestination),
        notices_only=settings.analysis.switch != "on",
    )


def commitment_requester_of(
    settings: Settings, destination: Destination, resources: Resources
) -> CommitmentRequester | None:
    """Make what asks one destination if it keeps what it accepted; None if it is not asked."""
    if not isinstance(destination, DicomDestination) or destination.verify == "no":
        return None
    kind = CommitmentScu if destination.verify == "commitment" else StoredCheck
    return kind(
        destination.name,
        peer_of(settings, destination),
        calling_ae=settings.node.ae_title,
        again=timedelta(hours=settings.delivery.verify_again_hours),
        resources=resources,
    )
