"""A value that a worker hands back is the one it made, or the task is lost."""

import pytest

from dicom_node.analysis.engine.packed_call import opened, sealed
from dicom_node.errors import AlteredResult, EngineLost


def test_a_value_comes_back_as_it_was() -> None:
    assert opened(sealed(("a result", b"\x00\x01"))) == ("a result", b"\x00\x01")


def test_one_that_was_altered_on_its_way_is_lost() -> None:
    digest, packed = sealed(b"a result")
    altered = packed.replace(b"result", b"r3sult")
    with pytest.raises(AlteredResult, match=f"SHA-256 {digest} expected from the worker"):
        opened((digest, altered))
    assert issubclass(AlteredResult, EngineLost)  # and so the analysis is tried again
