"""A scheduler and workers as processes of their own, by the commands of an operator."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.processes import END_SECONDS, free_port, wait_for_port

HOST = "localhost"
SECTION = """\
[engine]
scheduler = tls://{host}:{port}
certificate = {folder}/{host}.pem
key = {folder}/{host}.key
authorities = {folder}/authority.pem
[analysis]
threads = {threads}
"""


@contextmanager
def external_engine(folder: Path, workers: int) -> Iterator[str]:
    """Run a scheduler and workers that share the cores; the sections of a node's INI file."""
    folder.mkdir()
    subprocess.run(_command("certificates", str(folder), "--host", HOST), check=True)
    port = free_port()
    threads = max(1, (os.cpu_count() or 1) // workers)
    sections = SECTION.format(host=HOST, port=port, folder=folder, threads=threads)
    ini = folder / "engine.ini"
    ini.write_text(sections)
    with ExitStack() as running:
        words = ("scheduler", "--config", str(ini), "--bind", "127.0.0.1")
        running.enter_context(_running(_command(*words), folder / "scheduler.log"))
        wait_for_port(port)
        for number in range(workers):
            words = ("worker", "--config", str(ini), "--name", f"w{number}")
            running.enter_context(_running(_command(*words), folder / f"w{number}.log"))
        yield sections


def _command(*words: str) -> list[str]:
    return [sys.executable, "-m", "dicom_node", *words]


@contextmanager
def _running(command: Sequence[str], log: Path) -> Iterator[None]:
    with (
        log.open("w") as file,
        subprocess.Popen(command, stdout=file, stderr=file, env=os.environ) as process,
    ):
        try:
            yield
        finally:
            process.terminate()
            process.wait(END_SECONDS)
