"""A self-test goes through a real port, the whole way, and leaves nothing behind."""

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import trustme
from pydicom import dcmread

from config.network import NodeSettings, TlsSettings
from config.reader import load
from config.settings import SelfTestSettings, Settings
from dicom_node.assembly.resources import existing_resources
from dicom_node.assembly.self_test import left_out, self_test_job_of
from dicom_node.demo.stand_in_pacs import StandInPacs
from dicom_node.network.association import Peer
from dicom_node.network.tls import server_context
from dicom_node.resources import Resources
from dicom_node.self_test.case import SPEC, self_test_datasets
from dicom_node.self_test.runner import OwnPort, SelfTestJob
from dicom_node.self_test.schedule import PART, SelfTestRules
from pipeline.synthetic.phantom.dicom import write_series
from storage.database.schema import Series
from storage.database.self_test_series import self_test_series
from storage.overview import overview
from storage.results.self_tests import latest_self_tests, request_self_test, requested_self_test
from storage.states import Rerun, SelfTestState, SeriesState
from tests.support.dispatcher_samples import NOW
from tests.support.node_process import NodeProcess
from tests.support.peers.credentials import credentials
from tests.support.reception import Reception, open_resources, running_receiver

STRANGER = "2.25.4711"  #: UID of a series that is the synthetic one to the last pixel


def job(resources: Resources, port: int, *, needed: bool = False) -> SelfTestJob:
    peer = Peer(ae_title="AINODE", host="127.0.0.1", port=port)
    return SelfTestJob(
        resources=resources,
        rules=SelfTestRules(every=None, within=timedelta(minutes=30)),
        send=OwnPort(peer=peer).send,
        needed_for_ready=needed,
    )


def ask(resources: Resources) -> None:
    with resources.sessions.begin() as session:
        request_self_test(session, NOW)


def indexed(reception: Reception) -> set[str]:
    reception.index.wait_until_written()
    with reception.resources.sessions() as session:
        return set(self_test_series(session))


def test_without_a_request_nothing_is_sent(tmp_path: Path) -> None:
    with running_receiver(open_resources(tmp_path)) as reception:
        job(reception.resources, reception.address[1]).poll()

        assert not indexed(reception)
        assert reception.overview().series == ()


def test_its_images_come_by_the_port_marked_and_those_of_a_stranger_do_not(tmp_path: Path) -> None:
    with running_receiver(open_resources(tmp_path)) as reception:
        resources, port = reception.resources, reception.address[1]
        ask(resources)
        job(resources, port).poll()
        OwnPort(peer=Peer(ae_title="AINODE", host="127.0.0.1", port=port)).send(STRANGER, NOW)

        (uid,) = indexed(reception)
        with resources.sessions() as session:
            assert self_test_series(session)[uid].instances == SPEC.slices
        assert [one.series_instance_uid for one in reception.overview().series] == [STRANGER]


def test_its_images_come_by_tls_where_the_port_speaks_nothing_else(tmp_path: Path) -> None:
    ours = credentials(tmp_path / "tls", trustme.CA(), "node")
    settings = Settings(
        tls=TlsSettings(
            receive=True,
            certificate=ours.certificate,
            key=ours.key,
            authorities=ours.authorities,
        )
    )
    context = server_context(ours, verify_peers=True)
    with running_receiver(open_resources(tmp_path), tls=context) as reception:
        ask(reception.resources)
        self_test_job_of(settings, reception.resources, reception.address[1]).poll()

        assert len(indexed(reception)) == 1
        assert reception.resources.health.snapshot() == ()


@pytest.mark.parametrize("by_tls", [False, True], ids=["plain", "tls"])
def test_its_images_come_where_a_load_balancer_is_on_the_same_host(
    tmp_path: Path, *, by_tls: bool
) -> None:
    ours = credentials(tmp_path / "tls", trustme.CA(), "node")
    files = {"certificate": ours.certificate, "key": ours.key, "authorities": ours.authorities}
    settings = Settings(
        node=NodeSettings(balancers=("127.0.0.0/8",)),
        tls=TlsSettings(receive=True, **files) if by_tls else TlsSettings(),
    )
    with running_receiver(
        open_resources(tmp_path),
        tls=server_context(ours, verify_peers=True) if by_tls else None,
        balancers=settings.node.balancers,
    ) as reception:
        ask(reception.resources)
        self_test_job_of(settings, reception.resources, reception.address[1]).poll()

        assert len(indexed(reception)) == 1
        assert reception.resources.health.snapshot() == ()


@pytest.mark.parametrize("needed", [False, True])
def test_what_the_port_refuses_is_a_named_fault(tmp_path: Path, *, needed: bool) -> None:
    with running_receiver(open_resources(tmp_path), callers=["CT1"]) as reception:
        ask(reception.resources)
        job(reception.resources, reception.address[1], needed=needed).poll()

    (fault,) = reception.resources.health.snapshot()
    assert (fault.part, fault.receiving, fault.ready) == (PART, True, not needed)
    assert "its images were not taken: " in fault.reason
    assert "rejected the association" in fault.reason


def test_a_certificate_that_names_no_host_is_the_fault_of_the_run_alone(tmp_path: Path) -> None:
    pem = tmp_path / "file.pem"
    pem.write_text("no PEM")
    settings = Settings(tls=TlsSettings(receive=True, certificate=pem, key=pem, authorities=pem))
    resources = open_resources(tmp_path)

    made = self_test_job_of(settings, resources, port=9)

    ask(resources)
    made.poll()
    (fault,) = resources.health.snapshot()
    assert "expected a certificate that names a host, got none" in fault.reason


@pytest.mark.parametrize("hours", [0, 24])
def test_where_none_can_be_run_those_that_are_due_are_a_fault(tmp_path: Path, hours: int) -> None:
    resources = open_resources(tmp_path)
    wanted = SelfTestSettings(every_hours=hours, needed_for_ready=True)

    left_out(resources.health, "x is not installed", Settings(selftest=wanted))()

    faults = [(one.part, one.ready, one.reason) for one in resources.health.snapshot()]
    assert faults == ([(PART, False, "cannot be run: x is not installed")] if hours else [])


def test_none_is_begun_while_the_series_of_an_earlier_one_is_open(tmp_path: Path) -> None:
    with running_receiver(open_resources(tmp_path)) as reception:
        resources, port = reception.resources, reception.address[1]
        ask(resources)
        job(resources, port).poll()
        assert len(indexed(reception)) == 1
        ask(resources)
        job(resources, port).poll()  # of the next process: the first run is canceled

        assert len(indexed(reception)) == 1
        with resources.sessions() as session:
            assert requested_self_test(session) is not None


def test_what_hinders_the_removal_of_an_earlier_series_is_told_and_the_next_one_runs(
    tmp_path: Path,
) -> None:
    with running_receiver(open_resources(tmp_path)) as reception:
        resources, port = reception.resources, reception.address[1]
        ask(resources)
        job(resources, port).poll()
        (first,) = indexed(reception)
        with resources.sessions.begin() as session:
            row = session.get_one(Series, first)
            row.state, row.rerun = SeriesState.FAILED, Rerun.REPROCESS
        ask(resources)
        job(resources, port).poll()

        assert len(indexed(reception)) == 2
    (fault,) = resources.health.snapshot()
    assert "the series of an earlier run cannot be removed: " in fault.reason


def test_a_stop_in_its_midst_is_no_fault_and_the_next_start_ends_it(tmp_path: Path) -> None:
    resources = open_resources(tmp_path)
    stopped = job(resources, port=9)  # nothing listens there
    ask(resources)
    stopped.stop()
    stopped.poll()
    with running_receiver(resources) as reception:
        running = job(resources, reception.address[1])
        running.poll()
        assert len(indexed(reception)) == 1
    job(resources, port=9).poll()

    with resources.sessions() as session:
        assert latest_self_tests(session, 9) == []
    assert resources.health.snapshot() == ()


@pytest.mark.slow
@pytest.mark.database
def test_it_goes_the_whole_way_and_nothing_of_it_leaves_the_node(
    make_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    node = make_node(pacs.port)
    node.start()
    command = [sys.executable, "-P", "-m", "dicom_node", "selftest", "--json"]

    ended = subprocess.run(
        [*command, "--config", str(node.ini)], capture_output=True, text=True, check=False
    )

    told = json.loads(ended.stdout)
    assert (ended.returncode, told["passed"], told["reason"]) == (0, True, ""), ended.stderr
    assert abs(told["verdict"]["score_error"]) < 0.005
    resources = existing_resources(load(node.ini))
    with resources.sessions.reading() as session:
        (run,) = latest_self_tests(session, 9)
        assert run.state is SelfTestState.PASSED
        assert overview(session).states == {}
        assert self_test_series(session) == {}
    assert not list(resources.folder.paths("incoming/*/*"))
    assert list((resources.folder.root / "self-test").glob("*.dcm"))
    resources.close()
    # the same picture under another UID is a patient's, and the only one that is delivered
    write_series(self_test_datasets(STRANGER, NOW), tmp_path / "stranger")
    outgoing = [*command[:4], "send", str(tmp_path / "stranger"), "--port", str(node.port)]
    subprocess.run(outgoing, check=True)
    node.wait_for_state("delivered")
    assert [one.series_instance_uid for one in node.overview().series] == [STRANGER]
    delivered = {str(dcmread(file).StudyInstanceUID) for file in pacs.files}
    assert delivered == {str(self_test_datasets(STRANGER, NOW)[0].StudyInstanceUID)}
    assert node.stop() == 0
