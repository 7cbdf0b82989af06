"""One connection to a Dask scheduler, embedded or of a fleet, from its making to its end.

Embedded means a ``LocalCluster`` with one worker process under a nanny that restarts it when it
dies. Its traffic goes over TLS with temporary keys, so that no other user of the machine can
hand it code.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import ssl
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import cloudpickle
import dask
from distributed import Client, LocalCluster, Scheduler, Security
from distributed.utils import LoopRunner

from dicom_node.errors import EngineAway
from dicom_node.network.tls import Credentials

EMBEDDED = "embedded"  #: instead of the address of a scheduler
REACH_SECONDS = 5.0  #: how long we wait for a scheduler to answer

logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # we say what is lost

# glibc gives every large activation back to the kernel and faults it in again: up to twice the
# time of a network on a CPU (mallopt(3)). Threads that spin while they wait for each other, the
# default of OpenMP, more than double it as soon as anything else wants the processor. An arena for
# each thread keeps what that thread gave back: a tenth more memory.
SURROUNDINGS = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1),
    "MALLOC_TOP_PAD_": str(64 * 2**20),
}

SELDOM = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "500ms",
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.admin.system-monitor.gil.enabled": False,
}
"""How seldom Dask watches itself. As it comes, it looks 100 times a second at the worker's stack:
with that an analysis of 148 slices took 18.2 to 18.7 processor seconds, without 14.2 to 16.6."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineAddress:
    """Where the engine is, or what an embedded one may use.

    Attributes
    ----------
    scheduler
        ``embedded``, or the address of a Dask scheduler (``tls://host:port``).
    threads
        Processor threads that one task may use; 0 for all cores.
    memory_limit_gb
        Memory of the embedded worker, GB; 0 for all there is. Above it the worker is restarted.
    credentials
        Files for TLS with a scheduler; None for those of Dask's own configuration.
    """

    scheduler: str = EMBEDDED
    threads: int = 0
    memory_limit_gb: float = 0.0
    credentials: Credentials | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenWorker:
    """A worker, as the scheduler knows it.

    Attributes
    ----------
    address
        Of this process: a restarted worker has another.
    identity
        What stays the same when the process is restarted: the address of its nanny, if it has one.
    label
        What people call it.
    heard_at
        When the scheduler last heard it, by the scheduler's clock.
    status
        One of `distributed.Status`.
    """

    address: str
    identity: str
    label: str
    threads: int
    heard_at: float = field(default=0.0, compare=False)
    status: str = field(default="running", compare=False)


class Connection:
    """A client of a scheduler, with the embedded cluster, if that is its own.

    Attributes
    ----------
    client
        Dask's; it is never connected anew: a lost connection is closed, and another one made.
    """

    def __init__(self, client: Client, cluster: LocalCluster | None, loop: LoopRunner) -> None:
        self.client = client
        self._stream = client.scheduler_comm
        self._cluster = cluster
        self._loop = loop

    @property
    def alive(self) -> bool:
        """Whether it is the connection that was made: Dask's client may have made another."""
        return self.client.status == "running" and self.client.scheduler_comm is self._stream

    def workers(self) -> list[SeenWorker]:
        """Ask the scheduler for its workers.

        Raises
        ------
        EngineAway
            If it does not answer.
        """
        identity = self._ask("identity", n_workers=-1)
        return [_seen(address, facts) for address, facts in identity["workers"].items()]

    def restart_worker(self, address: str) -> None:
        """Kill one worker, whatever it does; its nanny, if it has one, starts it again."""
        with contextlib.suppress(EngineAway):
            self._ask(
                "restart_workers",
                workers=[address],
                timeout=REACH_SECONDS,
                wait_for_workers=False,
                on_error="return",
                stimulus_id=f"dicom-node-{time.time()}",
            )

    def tell_workers(
        self, addresses: frozenset[str], function: Callable[[str], object], word: str
    ) -> None:
        """Call a function in workers, beside the tasks that they have."""
        with contextlib.suppress(Exception):  # lost, or will not hear: so are their tasks
            self.client.run(function, word, workers=list(addresses), on_error="ignore")

    def close(self) -> None:
        """End the connection, and an embedded cluster with it; leave a fleet alone."""
        with contextlib.suppress(Exception):  # whatever ails it, another one is made
            self.client.close(timeout=REACH_SECONDS)
        if self._cluster is not None:
            with contextlib.suppress(Exception):  # likewise
                self._cluster.close(timeout=2 * REACH_SECONDS)
        self._loop.stop()

    def _ask(self, question: str, **arguments: Any) -> Any:  # noqa: ANN401  # Dask's answer
        """Call an operation of the scheduler by its name."""
        operation = getattr(self.client.scheduler, question)
        try:
            return self.client.sync(operation, callback_timeout=2 * REACH_SECONDS, **arguments)
        except (OSError, RuntimeError) as fault:  # closed, or no answer (TimeoutError)
            raise EngineAway(f"the scheduler does not answer ({type(fault).__name__})") from fault


def connect(address: EngineAddress) -> Connection:
    """Start an embedded engine, or connect to the scheduler of a fleet.

    Raises
    ------
    EngineAway
        If there is none; in one sentence, why.
    """
    dask.config.set(
        {
            **SELDOM,
            "distributed.scheduler.allowed-failures": 0,  # of an embedded one; else see below
            "distributed.worker.daemon": True,
            "distributed.scheduler.http.routes": [],
            "distributed.worker.http.routes": [],
            "distributed.comm.timeouts.connect": f"{REACH_SECONDS:.0f}s",
            "distributed.admin.log-format": "%(levelname)s %(name)s: %(message)s",
        }
    )
    security = security_of(address)
    if address.scheduler != EMBEDDED:
        _reach(address.scheduler, security)
    loop = LoopRunner()  # our own: a client that fails to connect would leave its thread behind
    loop.start()
    try:
        return _connected(address, security, loop)
    except Exception as fault:  # Dask raises whatever it likes; the engine is away all the same
        loop.stop()
        raise EngineAway(f"no engine at {address.scheduler}: {in_a_line(fault)}") from fault


def _connected(address: EngineAddress, security: Security, loop: LoopRunner) -> Connection:
    cluster = _embedded(address, loop) if address.scheduler == EMBEDDED else None
    try:
        client = Client(
            cluster or address.scheduler,
            security=None if cluster else security,
            loop=loop.loop,
            timeout=2 * REACH_SECONDS,
            set_as_default=False,
        )
        connection = Connection(client, cluster, loop)
    except Exception:
        if cluster is not None:
            cluster.close(timeout=REACH_SECONDS)
        raise
    with contextlib.suppress(Exception):  # it may lack what that needs: see Task.repeated
        client.run_on_scheduler(allow_no_failures)
    return connection


def allow_no_failures(dask_scheduler: Scheduler) -> None:
    """Have a scheduler report a lost worker at once, rather than run its tasks again itself.

    It would do so three times, uncounted; attempts are counted in one place, the database.
    """
    dask_scheduler.allowed_failures = 0


# the scheduler of a fleet need not have dicom-node installed
cloudpickle.register_pickle_by_value(sys.modules[__name__])


def security_of(address: EngineAddress) -> Security:
    """Make what Dask takes for TLS; of its own configuration, if no files are given."""
    files = address.credentials
    if files is None:
        return Security()
    certificate, key = str(files.certificate), str(files.key)
    return Security(
        tls_ca_file=str(files.authorities),
        tls_client_cert=certificate,
        tls_client_key=key,
        tls_worker_cert=certificate,
        tls_worker_key=key,
        tls_scheduler_cert=certificate,
        tls_scheduler_key=key,
        require_encryption=True,
    )


def usable_security_of(address: EngineAddress) -> Security:
    """Make what Dask takes for TLS, of files that were tried.

    Raises
    ------
    EngineAway
        If they are missing or do not belong together; in one sentence.
    """
    try:
        security = security_of(address)
    except OSError as fault:
        raise _unusable_files(fault) from fault
    _tls_context(address.scheduler, security)
    return security


def _unusable_files(fault: Exception) -> EngineAway:
    return EngineAway(
        "[engine] certificate, key, authorities: expected PEM files that belong together, got"
        f" others ({in_a_line(fault)})"
    )


def _tls_context(scheduler: str, security: Security) -> ssl.SSLContext | None:
    """Make the context for TLS with a scheduler; None if it speaks none."""
    try:
        context: ssl.SSLContext | None = security.get_connection_args("client").get("ssl_context")
    except OSError as fault:  # and SSLError
        raise _unusable_files(fault) from fault
    if urlsplit(scheduler).scheme != "tls":
        return None
    if context is None:
        raise EngineAway(
            f"[engine] certificate, key, authorities: expected the files for {scheduler}, got none"
        )
    return context


def _reach(scheduler: str, security: Security) -> None:
    """Open a connection to a scheduler and close it: what fails here has a plain reason.

    Raises
    ------
    EngineAway
        If that is not possible.
    """
    where, context = urlsplit(scheduler), _tls_context(scheduler, security)
    try:
        with socket.create_connection((where.hostname, where.port), timeout=REACH_SECONDS) as plain:
            if context is not None:
                context.wrap_socket(plain, server_hostname=where.hostname).close()
    except ssl.SSLError as fault:
        raise EngineAway(f"no TLS with the scheduler at {scheduler}: {fault.reason}") from fault
    except OSError as fault:
        why = fault.strerror or type(fault).__name__
        raise EngineAway(f"no scheduler at {scheduler}: {why}") from fault


def _embedded(address: EngineAddress, loop: LoopRunner) -> LocalCluster:
    """One worker process under a nanny, on loopback."""
    spawn_within(surroundings(address.threads))
    return LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        security=True,
        dashboard_address="127.0.0.1:0",  # any port, and no page on it, be bokeh there or not
        scheduler_kwargs={"dashboard": False},
        memory_limit=f"{address.memory_limit_gb}GB" if address.memory_limit_gb else 0,
        silence_logs=logging.CRITICAL,  # a lost worker is an event of the node
        loop=loop.loop,
    )


def surroundings(threads: int) -> dict[str, str]:
    """Environment of a worker's process.

    Parameters
    ----------
    threads
        Processor threads; 0 for all cores.
    """
    count = str(threads or os.cpu_count() or 1)
    return {
        **SURROUNDINGS,
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
    }


def spawn_within(environment: Mapping[str, str]) -> None:
    """Have Dask's nannies of this process start their workers with this environment.

    What a nanny is given as ``env`` comes when the worker's process runs already: too late for
    what the C library reads as it begins.
    """
    dask.config.set({"distributed.nanny.pre-spawn-environ": dict(environment)})


def _seen(address: str, facts: dict[str, Any]) -> SeenWorker:
    identity = facts.get("nanny") or address
    name = str(facts["name"])
    return SeenWorker(
        address=address,
        identity=identity,
        label=identity if name == address else name,
        threads=facts["nthreads"],
        heard_at=facts["last_seen"],
        status=facts["status"],
    )


def in_a_line(fault: BaseException | None) -> str:
    """Name a fault and the first line of what it says."""
    lines = str(fault).strip().splitlines()
    return f"{type(fault).__name__}: {lines[0]}" if lines else type(fault).__name__
