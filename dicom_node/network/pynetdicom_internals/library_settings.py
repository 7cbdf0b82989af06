"""Settings of pynetdicom as a library, made once, when this module is imported."""

from __future__ import annotations

from pynetdicom import _config

_config.STORE_SEND_CHUNKED_DATASET = True  # send from the file: a large SEG is never held in memory
_config.LOG_HANDLER_LEVEL = "none"  # it would log what peers sent
