"""Set pynetdicom's library-wide options, once, when this module is imported."""

from __future__ import annotations

from pynetdicom import _config

_config.STORE_SEND_CHUNKED_DATASET = True  # send from the file: a large SEG is never held in memory
_config.LOG_HANDLER_LEVEL = "none"  # its log would hold data sets of peers
