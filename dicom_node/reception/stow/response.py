"""Make the Store Instances Response in a media type that the sender accepts (PS3.18 10.5.3)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, tostring

from pydicom import Dataset
from pydicom.config import disable_value_validation
from pydicom.datadict import keyword_for_tag

from dicom_node.network.status_codes import SUCCESS
from dicom_node.reception.stow.instances import StoreOutcome

JSON, XML = "application/dicom+json", "application/dicom+xml"
MEDIA_TYPES: dict[str, str] = {
    JSON: JSON,
    "application/json": JSON,
    XML: XML,
    "application/xml": XML,
    "text/xml": XML,
    "application/*": JSON,
    "text/*": XML,
    "*/*": JSON,
}
"""Media ranges that a sender may accept, and the media type that it then gets (PS3.18 8.7.3)."""


def acceptable(accept: str) -> str | None:
    """Choose the media type of a response (RFC 9110 12.5.1); None if the sender takes neither.

    Parameters
    ----------
    accept
        Value of the header field Accept; empty for anything.
    """
    chosen: dict[str, float] = {}
    for media_range in (accept or "*/*").split(","):
        name, *parameters = (piece.strip().lower() for piece in media_range.split(";"))
        media_type = MEDIA_TYPES.get(name)
        if media_type is not None:
            chosen[media_type] = max(chosen.get(media_type, 0.0), _quality(parameters))
    best = max(chosen.values(), default=0.0)
    return next((one for one in (JSON, XML) if best > 0 and chosen.get(one) == best), None)


def _quality(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def encoded(ds: Dataset, media_type: str) -> bytes:
    """Encode a response as JSON (PS3.18 F) or as XML of the Native DICOM Model (PS3.19 A.1)."""
    if media_type == JSON:
        with disable_value_validation():
            return json.dumps(ds.to_json_dict()).encode()
    root = Element("NativeDicomModel", {"xml:space": "preserve"})
    _add_elements(root, ds)
    return bytes(tostring(root, encoding="utf-8", xml_declaration=True))


def _add_elements(parent: Element, ds: Dataset) -> None:
    for element in ds:
        named = {"tag": f"{element.tag:08X}", "vr": element.VR}
        named["keyword"] = keyword_for_tag(element.tag)
        attribute = SubElement(parent, "DicomAttribute", named)
        if element.VR == "SQ":
            for number, item in enumerate(element.value, start=1):
                _add_elements(SubElement(attribute, "Item", number=str(number)), item)
        else:
            value = SubElement(attribute, "Value", number="1")
            text = str(element.value)
            value.text = "".join(letter if letter.isprintable() else "?" for letter in text)


def response(outcomes: Sequence[StoreOutcome]) -> Dataset:
    """Make the Store Instances Response (PS3.18 I.2).

    No Retrieve URL: nothing can be retrieved here.
    """
    ds = Dataset()
    with disable_value_validation():  # invalid UIDs of senders are given back as they are
        kept = [_item(o) for o in outcomes if o.status == SUCCESS]
        failed = [_item(o) for o in outcomes if o.status != SUCCESS and o.identity]
        others = [_item(o) for o in outcomes if o.identity is None]
        if kept:
            ds.ReferencedSOPSequence = kept
        if failed:
            ds.FailedSOPSequence = failed
        if others:
            ds.OtherFailuresSequence = others
        return ds


def _item(outcome: StoreOutcome) -> Dataset:
    item = Dataset()
    if outcome.identity is not None:
        item.ReferencedSOPClassUID = outcome.identity.sop_class_uid
        item.ReferencedSOPInstanceUID = outcome.identity.sop_instance_uid
    if outcome.status != SUCCESS:
        item.FailureReason = outcome.status
    return item
