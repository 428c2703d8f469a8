"""Judges the body of a request by Google's own description of an API, which google-api-python-client carries."""

import json
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator

Schema = dict[str, Any]
_FORMATS = {"google-duration": r"^[0-9]+(\.[0-9]{1,9})?s$", "google-fieldmask": r"^[\w.,*]*$"}
_TYPES = {"any": {}, "string": {"type": "string"}, "boolean": {"type": "boolean"}, "number": {"type": "number"}}


@cache
def validator(api: str, schema: str) -> Draft202012Validator:
    """`api`: as `fcm.v1`. Of `schema` and all that it refers to; a field that the API does not know is a fault."""
    path = files("googleapiclient") / "discovery_cache" / "documents" / f"{api}.json"
    found = json.loads(path.read_text("utf-8"))["schemas"]
    definitions = {name: _object(each) for name, each in found.items()}
    return Draft202012Validator({"$ref": f"#/$defs/{schema}", "$defs": definitions})


def faults(api: str, schema: str, body: bytes) -> list[str]:
    return [f"{each.json_path}: {each.message}" for each in validator(api, schema).iter_errors(json.loads(body))]


def _object(described: Schema) -> Schema:
    properties = {name: _value(each) for name, each in described.get("properties", {}).items()}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _value(described: Schema) -> Schema:
    if "$ref" in described:
        return {"$ref": f"#/$defs/{described['$ref']}"}
    match described["type"]:
        case "object" if "additionalProperties" in described:
            return {"type": "object", "additionalProperties": _value(described["additionalProperties"])}
        case "object":
            return _object(described)
        case "array":
            return {"type": "array", "items": _value(described["items"])}
        case "integer":
            return {"type": "integer"}
        case simple:
            named = {"enum": described["enum"]} if "enum" in described else {}
            pattern = {"pattern": _FORMATS[form]} if (form := described.get("format")) in _FORMATS else {}
            return {**_TYPES[simple], **named, **pattern}
