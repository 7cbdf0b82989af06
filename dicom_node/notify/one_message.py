"""Send the message on standard input; this is a process of its own, which its parent ends.

Run as ``python -m dicom_node.notify.one_message``; it ends with 0 if the service took the message.
"""

from __future__ import annotations

import json
import resource
import sys

from dicom_node.notify.apprise_sender import service

MOST_MEMORY_BYTES = 1 << 29  #: of address space: an answer without end fills no more


def main() -> int:
    """Send; return the status of the process."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY_BYTES, MOST_MEMORY_BYTES))
    said = json.load(sys.stdin)
    taken = service(said["url"]).notify(body=said["body"], title=said["title"], body_format="text")
    return 0 if taken else 1


if __name__ == "__main__":
    sys.exit(main())
