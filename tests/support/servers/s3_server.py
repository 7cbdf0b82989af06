"""An S3 server of the tests' own, of SeaweedFS: its data are files, and outlive its processes."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from storage.errors import ObjectsAway
from storage.files.objects_address import ObjectsAddress, object_store_at
from tests.support.node_process import free_port, wait_until

KEY_ID, KEY = "of-the-tests", "a-key-of-the-tests"
BUCKET = "tests"
GRPC_OFFSET = 10_000  #: of the ports by which its parts speak with one another


def program() -> Path | None:
    """Find the server's program; None if it is not installed (extra ``test``)."""
    beside = Path(sys.executable).with_name("weed")
    found = beside if beside.exists() else shutil.which("weed")
    return Path(found) if found and shutil.which("setpriv") else None


class S3Server:
    """A server that can be started, stopped and killed again and again."""

    def __init__(self, program: Path, folder: Path) -> None:
        self._program, self.folder = program, folder
        self.folder.mkdir()
        self._ports = {part: free_port() for part in ("master", "volume", "filer", "s3")}
        self._grpc = {part: free_port() for part in self._ports}
        self._process: subprocess.Popen[bytes] | None = None
        identity = {
            "name": "tests",
            "credentials": [{"accessKey": KEY_ID, "secretKey": KEY}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._ports['s3']}"

    def address(self, prefix: str = "") -> ObjectsAddress:
        return ObjectsAddress(
            url=f"s3://{BUCKET}/{prefix}".rstrip("/"),
            endpoint=self.endpoint,
            region="us-east-1",
            key_id=KEY_ID,
            key=KEY,
        )

    def start(self, *, wait: bool = True) -> None:
        """Start the server; wait until it takes an object."""
        ports = [
            option
            for part, port in self._ports.items()
            for option in (f"-{part}.port={port}", f"-{part}.port.grpc={self._grpc[part]}")
        ]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *("setpriv", "--pdeathsig", "KILL", str(self._program), "server"),
                    *("-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
                    *(f"-dir={self.folder}", "-s3", f"-s3.config={self.folder / 's3.json'}"),
                    *("-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"),
                    *("-volume.max=20", "-master.volumeSizeLimitMB=64", *ports),
                ],
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )
        if wait:
            wait_until(self.answers, seconds=60, what=f"the start of the S3 server\n{self.log()}")

    def answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log()
        with suppress(ObjectsAway):
            object_store_at(self.address()).try_out()
            return True
        return False

    def kill(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(60)
        self._process = None

    def stop(self) -> None:
        if self._process is not None:
            self.kill()

    def log(self) -> str:
        path = self.folder / "server.log"
        return path.read_text(errors="replace")[-4000:] if path.exists() else ""
