"""Send a message by Apprise, the border to e-mail, webhooks and chat services.

Apprise is the optional extra `notify`: it is imported when something is to be sent. It bounds each
wait for a service, and neither the whole nor the answer: a process of its own sends.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from typing import Any, Protocol

from dicom_node.errors import NodeError

LONGEST_SECONDS = 30.0  #: of a message; Apprise waits 4 s for each word of a service, by mail 15 s
NOT_INSTALLED = "apprise is not installed: pip install 'dicom-node[notify]' installs it"


class MessageSender(Protocol):
    """Sends one message to one address."""

    def __call__(self, url: str, title: str, body: str) -> None:
        """Send.

        Raises
        ------
        NodeError
            If the service did not take it.
        """
        ...


def send_message(
    url: str, title: str, body: str, *, longest_seconds: float = LONGEST_SECONDS
) -> None:
    """Send a text; a service that has not taken it by then is left.

    Raises
    ------
    NodeError
        If Apprise is not installed, knows no such service, or the service did not take it.
    """
    check_url(url)
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "dicom_node.notify.one_message"],
            input=json.dumps({"url": url, "title": title, "body": body}).encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # a trace may quote the address
            timeout=longest_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NodeError(f"the service came to no end within {longest_seconds:g} s") from None
    except OSError as fault:
        raise NodeError(f"nothing can be sent: {fault.strerror}") from None
    if ended.returncode:
        raise NodeError("the service did not take it, or is not there")


def check_url(url: str) -> None:
    """Check that a URL names a service.

    Raises
    ------
    NodeError
        If Apprise is not installed, or knows no such service; the URL is not quoted.
    """
    service(url)


def service(url: str) -> Any:  # noqa: ANN401  # a class of a library that may not be installed
    """Make what sends to a URL: a text that is too long for it as several, redirects nowhere.

    Raises
    ------
    NodeError
        As `check_url`.
    """
    try:
        import apprise
    except ImportError:
        raise NodeError(NOT_INSTALLED) from None
    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # its lines quote addresses
    asset = apprise.AppriseAsset(
        app_id="dicom-node",
        app_desc="dicom-node",
        app_url="",
        image_url_mask="",
        image_url_logo="",
        async_mode=False,
        plugin_paths=[],
        http_redirects=False,
    )
    made = apprise.Apprise(asset=asset)
    if not made.add(url):
        raise NodeError(
            "expected a URL that Apprise knows, such as mailtos:// or jsons://, got one"
            " that it does not"
        )
    for one in made:
        one.overflow_mode = apprise.OverflowMode.SPLIT
    return made
