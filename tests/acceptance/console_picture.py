"""Draw the picture of the console in the README: a synthetic chest, analysed by the demo.

    python -m tests.acceptance.console_picture docs/images/console.png [FOLDER OF A DEMO]

It needs Chromium and Playwright (deploy/install-viewer.sh). Nobody's images are in it.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import uvicorn

from config.reader import load
from dicom_node.assembly.resources import existing_resources
from dicom_node.console.access.people import Role
from dicom_node.console.app import make_app
from dicom_node.console.context import Console
from storage.console.users import User, add_user, find_user
from tests.acceptance.support.screen import chromium
from tests.support.console.console_under_test import HASHED, PASSWORD

NAME = "reader"
WIDTH, HEIGHT = 1280, 860  #: pixels


def main(picture: Path, demo: Path) -> None:
    """Draw the page of the series that a demo has analysed."""
    settings = load(demo / "dicom-node.ini")
    with closing(existing_resources(settings)) as resources:
        user = User(name=NAME, role=Role.READER, password=HASHED, created_at=datetime.now(UTC))
        with resources.sessions.begin() as session:
            if find_user(session, NAME) is None:
                add_user(session, user)
        console = Console(sessions=resources.sessions, settings=lambda: settings, is_secure=False)
        listening = socket.create_server(("127.0.0.1", 0))
        app = make_app(console, hosts={"127.0.0.1"})
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            draw(picture, f"http://127.0.0.1:{listening.getsockname()[1]}")
        finally:
            server.should_exit = True
            thread.join()


def draw(picture: Path, address: str) -> None:
    """Log in, open the first series, and keep what is seen."""
    with chromium() as browser:
        page = browser.new_page(
            viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="dark", locale="en-US"
        )
        page.goto(f"{address}/login")
        page.fill("input[name=name]", NAME)
        page.fill("input[name=password]", PASSWORD)
        page.keyboard.press("Enter")
        page.click("#rows tr a")
        for image in ("#slice-image", "#slice-overlay"):
            page.locator(image).evaluate("image => image.decode()")
        picture.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=picture)


if __name__ == "__main__":
    to = Path(sys.argv[1])
    if len(sys.argv) > 2:  # the folder is named
        main(to, Path(sys.argv[2]))
    else:
        with tempfile.TemporaryDirectory() as place:
            command = Path(sys.executable).with_name("dicom-node")
            subprocess.run([command, "demo", "--out", place], check=True)  # ours
            main(to, Path(place))
