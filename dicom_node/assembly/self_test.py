"""Make what runs self-tests."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from config.settings import Settings
from dicom_node.assembly.security import credentials_of
from dicom_node.health import Health
from dicom_node.network.addresses.networks import Networks
from dicom_node.network.addresses.own_address import EVERY_INTERFACE, addresses_of
from dicom_node.network.addresses.proxy_protocol import OWN_CONNECTION
from dicom_node.network.association import Peer
from dicom_node.network.tls import certified_name
from dicom_node.resources import Resources
from dicom_node.self_test.schedule import PART, SelfTestRules

if TYPE_CHECKING:
    from dicom_node.self_test.runner import SelfTestJob

LOOPBACK = {"::": "::1"}  #: where a port on every interface is reached; else 127.0.0.1


def self_test_rules_of(settings: Settings) -> SelfTestRules:
    """Say when self-tests are due."""
    wanted = settings.selftest
    return SelfTestRules(
        every=timedelta(hours=wanted.every_hours) if wanted.every_hours else None,
        within=timedelta(minutes=wanted.within_minutes),
    )


def own_peer_of(settings: Settings, port: int) -> Peer:
    """Make the peer that is this node: it is called as a scanner calls it.

    Where its own address is one of a load balancer, as of one on the same host, it expects a
    header of us, too.

    Raises
    ------
    NodeError
        If it is called by TLS, and its certificate names nobody.
    """
    bind, tls = settings.node.bind, settings.tls
    credentials = credentials_of(tls) if tls.receive else None
    host = LOOPBACK.get(bind, "127.0.0.1") if bind in EVERY_INTERFACE else bind
    balancers = Networks.of(settings.node.balancers)
    return Peer(
        ae_title=settings.node.ae_title,
        host=host,
        port=port,
        tls=credentials,
        certified_name=certified_name(credentials.certificate) if credentials else "",
        preamble=OWN_CONNECTION if any(map(balancers.include, addresses_of(host))) else b"",
    )


def self_test_job_of(settings: Settings, resources: Resources, port: int) -> SelfTestJob:
    """Make the job that runs self-tests through a port of ours.

    Our certificate is read when a run is sent: what ails it is the fault of that run alone.

    Raises
    ------
    ImportError
        If what draws its pictures is not installed, as on a host that only receives.
    """
    from dicom_node.self_test.runner import OwnPort, SelfTestJob  # noqa: PLC0415  # not everywhere

    def send(series_instance_uid: str, now: datetime) -> str:
        return OwnPort(peer=own_peer_of(settings, port)).send(series_instance_uid, now)

    return SelfTestJob(
        resources=resources,
        rules=self_test_rules_of(settings),
        send=send,
        needed_for_ready=settings.selftest.needed_for_ready,
    )


def left_out(health: Health, why: str, settings: Settings) -> Callable[[], None]:
    """Make what tells of self-tests that are due but cannot be run; as `prepared`."""
    wanted = settings.selftest

    def take_up() -> None:
        if wanted.every_hours:
            health.fault(PART, f"cannot be run: {why}", ready=not wanted.needed_for_ready)
        else:
            health.well(PART)

    return take_up


def prepared(job: SelfTestJob, settings: Settings) -> Callable[[], None]:
    """Make what follows from other settings; return what takes it up, and cannot fail."""
    rules, needed = self_test_rules_of(settings), settings.selftest.needed_for_ready

    def take_up() -> None:
        job.take(rules, needed_for_ready=needed)

    return take_up
