"""A PostgreSQL server of the tests' own: a cluster in a temporary folder, ended with the tests."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import psycopg

from tests.support.node_process import children, free_port, wait_until

DEBIAN = Path("/usr/lib/postgresql")  #: has a folder for each version
USER = "node"
PASSWORD = "of the tests"  # noqa: S105  # of a cluster that lives as long as its tests
SETTINGS = ("max_connections=100", "shared_buffers=32MB", "lc_messages=C")


def programs() -> Path | None:
    """Find the folder of the server's programs, of the newest version; None if there are none."""
    of_debian = sorted(DEBIAN.glob("*/bin"), key=lambda path: float(path.parent.name))
    found = shutil.which("initdb")
    folders = [*of_debian[-1:], *([Path(found).resolve().parent] if found else [])]
    needed = ("initdb", "postgres")
    whole = [folder for folder in folders if all((folder / name).exists() for name in needed)]
    return whole[0] if whole and shutil.which("setpriv") else None


class Cluster:
    """A server that can be started, stopped and killed again and again.

    It listens on a socket in its folder, where nobody needs a password, and on loopback, where
    everybody does.

    Parameters
    ----------
    is_durable
        Whether it waits for the disk: what it has committed outlives its processes anyhow.
    """

    def __init__(self, programs: Path, *, is_durable: bool = True) -> None:
        self._programs = programs
        self._settings = (*SETTINGS, f"fsync={'on' if is_durable else 'off'}")
        self.folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # a socket's path is short
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            user = pwd.getpwnam("nobody")
            os.chown(self.folder, user.pw_uid, user.pw_gid)
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self._run(
            "initdb", "--no-locale", "--encoding=UTF8", f"--username={USER}", "--no-sync",
            "--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={secret}",
            f"--pgdata={self.folder / 'data'}",
        )  # fmt: skip

    def address(self, database: str) -> str:
        """URL of a database, by the socket."""
        return f"postgresql://{USER}@/{database}?host={self.folder}&port={self.port}"

    @property
    def is_running(self) -> bool:
        """Whether it was started, and neither stopped nor killed."""
        return self._process is not None

    def start(self) -> None:
        """Start the server; wait until it answers."""
        options = [part for setting in self._settings for part in ("-c", setting)]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *_as_ordinary_user(),
                    *("--pdeathsig", "INT", str(self._programs / "postgres")),
                    *("-D", str(self.folder / "data"), "-k", str(self.folder)),
                    *("-h", "127.0.0.1", "-p", str(self.port), *options),
                ],
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )
        wait_until(self._answers, seconds=60, what=f"the start of PostgreSQL\n{self.log()}")

    def stop(self) -> None:
        """Stop the server: those who are connected lose their connections."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(60)
            self._process = None

    def kill(self) -> None:
        """Kill every process of the server at once, as a power cut would."""
        assert self._process is not None
        parent = self._process.pid
        self._process.send_signal(signal.SIGSTOP)  # it starts no more
        server_processes = children(parent)
        for pid in (*server_processes, parent):
            os.kill(pid, signal.SIGKILL)
        self._process.wait(60)
        wait_until(
            lambda: not any(Path(f"/proc/{pid}").exists() for pid in server_processes),
            seconds=60,
            what="the end of PostgreSQL",
        )
        self._process = None

    def remove(self) -> None:
        """Stop the server and delete its data."""
        self.stop()
        shutil.rmtree(self.folder)

    def log(self) -> str:
        """End of what the server has logged."""
        path = self.folder / "server.log"
        return path.read_text()[-4000:] if path.exists() else ""

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log()
        try:
            psycopg.connect(self.address("postgres")).close()
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, program: str, *arguments: str) -> None:
        command = [*_as_ordinary_user(), str(self._programs / program), *arguments]
        ended = subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stderr


def _as_ordinary_user() -> list[str]:
    command = ["setpriv"]
    if os.geteuid() == 0:
        user = pwd.getpwnam("nobody")
        command += [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    return command
