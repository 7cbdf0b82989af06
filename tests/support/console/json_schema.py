"""Check values against the schemas of an OpenAPI document, as far as ours use JSON Schema."""

from typing import Any

Json = Any  #: a value that JSON can hold

TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
KNOWN = {"$ref", "anyOf", "type", "properties", "required", "additionalProperties", "items"}
KNOWN |= {"enum", "const", "title", "description", "default", "format", "propertyNames"}


def faults(value: Json, schema: Json, document: Json, place: str = "") -> list[str]:
    """List where a value is not what its schema says; it must name every property."""
    if schema is True or schema == {}:
        return []
    assert set(schema) <= KNOWN, set(schema) - KNOWN
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/components/schemas/")
        return faults(value, document["components"]["schemas"][name], document, place)
    if "anyOf" in schema:
        tried = [faults(value, one, document, place) for one in schema["anyOf"]]
        return [] if [] in tried else tried[0]
    kind = schema.get("type")
    if kind and (not isinstance(value, TYPES[kind]) or (kind != "boolean" and value is True)):
        return [f"{place}: not of type {kind}"]
    if value not in schema.get("enum", [value]):
        return [f"{place}: not one of the values"]
    return [*_in_object(value, schema, document, place), *_in_array(value, schema, document, place)]


def _in_object(value: Json, schema: Json, document: Json, place: str) -> list[str]:
    if not isinstance(value, dict):
        return []
    properties, others = schema.get("properties", {}), schema.get("additionalProperties", False)
    found = [
        f"{place}: {name} is missing" for name in schema.get("required", []) if name not in value
    ]
    for name, one in value.items():
        if name not in properties and others is False:
            found.append(f"{place}: {name} is not in the schema")
        else:
            found += faults(one, properties.get(name, others), document, f"{place}/{name}")
    return found


def _in_array(value: Json, schema: Json, document: Json, place: str) -> list[str]:
    if not isinstance(value, list) or "items" not in schema:
        return []
    return [
        fault
        for number, one in enumerate(value)
        for fault in faults(one, schema["items"], document, f"{place}/{number}")
    ]
