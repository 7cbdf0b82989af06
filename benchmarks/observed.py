"""``python -m benchmarks.observed``: receive with all that watches a node, and without.

Pairs in turn: a whole node as it comes, and one with metrics and readiness that are asked for every
five seconds, an auditor, scanners that are watched, recipients of messages, a port for reports, a
worklist manager and destinations by HL7 and FHIR that are away, each after a self-test.
Nothing is analysed meanwhile: the series stay open.
"""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from urllib.request import urlopen

from benchmarks.document import machine
from benchmarks.processes import free_port, send_with, whole_node
from benchmarks.rounds import measure, scratch
from benchmarks.samples import ct_series

PLAIN = """\
[node]
port = {port}
[storage]
folder = data
[closing]
quiet_seconds_by_ae = BENCHMARK:3600
quiet_seconds_regular_by_ae = BENCHMARK:0
"""
WATCHED = """\
[monitoring]
port = {monitoring}
[audit]
syslog = 127.0.0.1:{syslog}
protocol = udp
[drift]
action = tell
[selftest]
every_hours = 24
[notify]
recipients_file = recipients
[reports]
port = {reports}
[worklist]
manager = UPS@127.0.0.1:{nobody}
station_name = AINODE
check_every_seconds = 5
[destination RIS]
hl7 = 127.0.0.1:{nobody}
[destination FHIR]
fhir = http://127.0.0.1:{nobody}/r4
"""
ALONE, BESIDE = "as it comes", "with everything that watches and tells"
PAGES = ("metrics", "readyz")
EVERY_SECONDS = 5.0  #: three times as often as is usual


def main() -> None:
    """Measure, and print a table in Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.observed", description=__doc__)
    parser.add_argument("--slices", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with scratch() as folder:
        sent = [
            ct_series(folder / f"part{number}", count=options.slices // 4, series=number)
            for number in range(1, 5)
        ]
        seconds = measure(
            {ALONE: lambda: _plain(sent), BESIDE: lambda: _watched(sent)}, options.rounds
        )
    count = options.slices // 4 * 4
    print(f"Machine: {machine()}.\n\n| receiving, 4 associations | instances a second |\n|---|---|")
    for name, taken in seconds.items():
        rates = [count / one for one in taken]
        print(f"| {name} | {median(rates):.0f} ({min(rates):.0f}–{max(rates):.0f}) |")
    pairs = [here / there for here, there in zip(seconds[ALONE], seconds[BESIDE], strict=True)]
    said = f"{median(pairs):.2f} ({min(pairs):.2f}–{max(pairs):.2f})"
    print(f"\nTimes as fast with all of it as without, {options.rounds} pairs: {said}")


def _plain(sent: list[Path]) -> float:
    with scratch() as folder:
        port, ini = free_port(), folder / "node.ini"
        ini.write_text(PLAIN.format(port=port))
        with whole_node(ini, port):
            _warm(ini)
            return send_with("storescu", sent, port)


def _watched(sent: list[Path]) -> float:
    with scratch() as folder, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as syslog:
        syslog.bind(("127.0.0.1", 0))  # what comes is not read: it takes no more than its room
        port, monitoring, nobody, ini = free_port(), free_port(), free_port(), folder / "node.ini"
        recipients = folder / "recipients"
        recipients.write_text(f"all json://127.0.0.1:{nobody}\n")
        recipients.chmod(0o600)
        more = WATCHED.format(
            monitoring=monitoring,
            syslog=syslog.getsockname()[1],
            reports=free_port(),
            nobody=nobody,
        )
        ini.write_text(PLAIN.format(port=port) + more)
        with whole_node(ini, port), _scraped(monitoring):
            _warm(ini)
            return send_with("storescu", sent, port)


def _warm(ini: Path) -> None:
    """Wait until a self-test has passed: its worker is up then, and nothing is under way."""
    command = [sys.executable, "-m", "dicom_node", "selftest", "--config", str(ini)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


@contextmanager
def _scraped(port: int) -> Iterator[None]:
    """Ask for metrics and readiness every second."""
    over = threading.Event()

    def ask() -> None:
        while not over.wait(EVERY_SECONDS):
            for page in PAGES:
                with suppress(OSError), urlopen(f"http://127.0.0.1:{port}/{page}") as answer:
                    answer.read()

    scraper = threading.Thread(target=ask)
    scraper.start()
    try:
        yield
    finally:
        over.set()
        scraper.join()


if __name__ == "__main__":
    main()
