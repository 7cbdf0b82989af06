"""Access list by AE title and address."""

import pytest

from dicom_node.reception.access import AllowedCallers

CALLERS = AllowedCallers.of(["CT1", "ROUTER@10.1.0.0/16", "V6@2001:db8::/32", "ONE@192.0.2.7"])


@pytest.mark.parametrize(
    ("title", "address", "allowed"),
    [
        ("CT1", "203.0.113.9", True),
        (" CT1 ", "203.0.113.9", True),
        ("ROUTER", "10.1.200.3", True),
        ("ROUTER", "::ffff:10.1.200.3", True),
        ("ROUTER", "10.2.0.1", False),
        ("ONE", "192.0.2.7", True),
        ("ONE", "192.0.2.8", False),
        ("V6", "2001:db8::5", True),
        ("V6", "fe80::1%eth0", False),
        ("router", "10.1.200.3", False),
        ("OTHER", "10.1.200.3", False),
    ],
)
def test_title_and_address_must_both_fit(title: str, address: str, allowed: bool) -> None:
    assert CALLERS.may_call(title, address) is allowed


def test_nobody_listed_means_anybody() -> None:
    assert AllowedCallers().may_call("ANY", "198.51.100.1")


def test_no_network_is_an_error() -> None:
    with pytest.raises(ValueError, match="CT2"):
        AllowedCallers.of(["CT1@CT2"])
