"""Send a message by Apprise, the border to e-mail, webhooks and chat services.

Apprise is the optional extra `notify`: it is imported when something is to be sent.
"""

from __future__ import annotations

import logging
from typing import Any, Protocol

from dicom_node.errors import NodeError

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


def send_message(url: str, title: str, body: str) -> None:
    """Send a text; each wait for the service is bounded by Apprise, 4 s (by mail 15 s).

    Raises
    ------
    NodeError
        If Apprise is not installed, knows no such service, or the service did not take it.
    """
    if not _service(url).notify(body=body, title=title, body_format="text"):
        raise NodeError("the service did not take it, or is not there")


def check_url(url: str) -> None:
    """Check that a URL names a service.

    Raises
    ------
    NodeError
        If Apprise is not installed, or knows no such service; the URL is not quoted.
    """
    _service(url)


def _service(url: str) -> Any:  # noqa: ANN401  # a class of a library that may not be installed
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
    )
    service = apprise.Apprise(asset=asset)
    if not service.add(url):
        raise NodeError(
            "expected a URL that Apprise knows, such as mailtos:// or jsons://, got one"
            " that it does not"
        )
    return service
