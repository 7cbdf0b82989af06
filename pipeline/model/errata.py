"""Read ``errata.json``: corrections of a model card, beside the manifest.

A manifest's digest is part of every result key, so its bytes never change once results were made
with it. What turns out to be untrue in its card is corrected here.
"""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from pipeline.errors import ModelError

ERRATA = "errata.json"  #: its name in a model folder


class Erratum(BaseModel):
    """One correction.

    Attributes
    ----------
    date
        On which it was made.
    text
        What the card says, or leaves out, and what is true.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    date: datetime.date
    text: Annotated[str, Field(min_length=1)]


_LIST = TypeAdapter(tuple[Erratum, ...])


def read_errata(folder: Path) -> tuple[Erratum, ...]:
    """Corrections of the model in a folder; none without a file.

    Raises
    ------
    ModelError
        If there is a file that cannot be read, or is no list of corrections; the message lists
        every fault with its place.
    """
    file = folder / ERRATA
    if not file.exists():
        return ()
    try:
        return _LIST.validate_json(file.read_bytes())
    except OSError as exc:
        raise ModelError(f"expected a readable {ERRATA}, got: {exc}") from exc
    except ValidationError as exc:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc']) or 'file'}: {fault['msg']}"
            for fault in exc.errors(include_url=False)
        )
        raise ModelError(
            f"{ERRATA} is not as expected, a list of corrections with date and text: {faults}"
        ) from exc
