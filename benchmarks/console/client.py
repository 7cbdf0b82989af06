"""A console as a process of its own, and a browser that has logged in at it."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from benchmarks.processes import END_SECONDS, free_port, wait_for_port
from config.settings import Settings
from dicom_node.assembly.resources import open_resources
from dicom_node.clock_watch import utc_now
from dicom_node.console.access.passwords import hashed
from dicom_node.console.access.people import Role
from storage.console.users import User, add_user

NAME, PASSWORD = "benchmark", "only of this benchmark"  # of a console on loopback
TICKS = os.sysconf("SC_CLK_TCK")  #: of a second of a processor, in proc(5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """A console that listens on loopback."""

    port: int
    pid: int

    def processor_seconds(self) -> float:
        """Give what it has taken of the processors so far, in its own and the system's name."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS


@contextmanager
def console(folder: Path, database: str) -> Iterator[Serving]:
    """Serve the console of a storage folder; its INI file is written into the folder."""
    port, ini = free_port(), folder / "dicom-node.ini"
    destinations = "".join(
        f"[destination {name}]\nae_title = {name}\nhost = 127.0.0.1\nport = 104\n"
        for name in ("PACS", "ARCHIVE")
    )
    ini.write_text(
        f"[storage]\nfolder = {folder}\ndatabase_url = {database}\n"
        f"[console]\nport = {port}\n{destinations}"
    )
    command = [sys.executable, "-m", "dicom_node", "console", "--config", str(ini)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            wait_for_port(port)
            yield Serving(port=port, pid=process.pid)
        finally:
            process.terminate()
            process.wait(END_SECONDS)


def prepare(folder: Path, database: str) -> None:
    """Make a folder that of a database, and enter the user of the benchmark, an administrator."""
    storage = {"folder": folder, "database_url": database}
    with closing(
        open_resources(Settings.model_validate({"storage": storage}), any_folder=True)
    ) as resources:
        user = User(name=NAME, role=Role.ADMIN, password=hashed(PASSWORD), created_at=utc_now())
        with resources.sessions.begin() as session:
            add_user(session, user)


class Browser:
    """Asks a console over one connection, in a session of its own or of another."""

    def __init__(self, port: int, cookie: str = "") -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers = {"Origin": f"http://127.0.0.1:{port}", "Sec-Fetch-Site": "same-origin"}
        self.cookie = cookie or self._logged_in()
        self._headers["Cookie"] = self.cookie

    def _logged_in(self) -> str:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        fields = urlencode({"name": NAME, "password": PASSWORD})
        self._connection.request("POST", "/login", fields, self._headers | form)
        answer = self._connection.getresponse()
        answer.read()
        return (answer.getheader("Set-Cookie") or "").partition(";")[0]

    def get(self, path: str) -> str:
        """Get a page.

        Raises
        ------
        ConnectionError
            If it is refused.
        """
        with self.listening(path) as answer:
            return answer.read().decode()

    @contextmanager
    def listening(self, path: str) -> Iterator[http.client.HTTPResponse]:
        """Ask for a page, and lend its answer to be read as it comes.

        Raises
        ------
        ConnectionError
            If it is refused.
        """
        self._connection.request("GET", path, headers=self._headers)
        answer = self._connection.getresponse()
        if answer.status != http.HTTPStatus.OK:
            raise ConnectionError(f"expected {path} with 200, got {answer.status}")
        yield answer
