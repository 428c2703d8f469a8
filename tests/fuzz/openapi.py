"""What the two ports answer, as an OpenAPI document: requests are made of it, and answers are judged by it."""

from typing import Any

Document = dict[str, Any]

_PAGE = {"text/html": {"schema": {"type": "string"}}}
_TEXT = {"text/plain": {"schema": {"type": "string"}}}
_ANY = {"type": "string", "maxLength": 60}
_ID = {"type": "string", "minLength": 1, "maxLength": 60}
_FIELDS = ("do", "events", "reason", "type", "older", "until", "notification")
_MOMENT = {"type": "string", "pattern": "^[0-9]{4}-1[0-2]-[0-2][1-8]T2[0-3]:00:00[+-]2[0-3]:59$"}
_PLACES = {"anyOf": [_ANY, {"type": "string", "pattern": "^[0-9]{8}T[0-9]{6}\\.[0-9]{6}Z-[a-z0-9]{0,9}$"}]}


def health() -> Document:
    """No parameters; whatever comes with the request changes nothing."""
    parts = {"application/json": {"schema": {"type": "object", "required": ["status"]}}}
    paths: dict[str, Document] = {
        "/livez": {"200": parts},
        "/health": {"200": parts},
        "/actuator/health": {"200": parts},
        "/readyz": {"200": parts, "503": parts},
        "/metrics": {"200": _TEXT},
    }
    return _document({path: {"get": _operation([], answers)} for path, answers in paths.items()})


def console(csrf_token: str) -> Document:
    """`csrf_token`: that of the session. Without `confirmed` in its form, a POST only counts."""
    # A line break in a path leads nowhere, before anybody asks who it is that wants to go there.
    page, query = {"200": _PAGE, "303": {}, "400": _PAGE, "404": {**_PAGE, **_TEXT}}, "query"
    one = [_parameter("notification", "path", _ID)]
    # One that is read to its end, and one of anything.
    read = {"do": {"enum": ["replay", "discard"]}, "older": _age(), "until": _MOMENT}
    form: Document = {"anyOf": [_form(csrf_token, read), _form(csrf_token, dict.fromkeys(_FIELDS, _ANY))]}
    search = [_parameter(name, query, _ANY) for name in ("q", "outcome", "addresses")]
    return _document(
        {
            "/console/": {"get": _operation([*search, _parameter("after", query, _PLACES)], page)},
            "/console/waiting": {"get": _operation([*search, _parameter("after", query, _PLACES)], page)},
            "/console/traffic": {"get": _operation([_parameter("span", query, _ANY)], page)},
            "/console/experiment": {
                "get": _operation([_parameter("salt", query, _ANY), _parameter("channel", query, _ANY)], page)
            },
            "/console/books": {"get": _operation([], page)},
            "/console/notifications/{notification}": {"get": _operation(one, page)},
            "/console/notifications/{notification}/{form}": {
                "get": _operation([*one, _parameter("form", "path", _ID)], page)
            },
            "/console/gallery/samples/{sample}": {"get": _operation([_parameter("sample", "path", _ID)], page)},
            "/console/parked": {"post": _operation([], page, form)},
            "/console/bounced": {"post": _operation([], page, form)},
        }
    )


def _age() -> Document:
    return {"anyOf": [_ANY, {"type": "string", "pattern": "^-?[0-9]{1,40}(\\.[0-9]{1,9})?(e[0-9]{1,3})?$"}]}


def _form(csrf_token: str, fields: Document) -> Document:
    return {
        "type": "object",
        "required": ["csrf_token"],
        "properties": {"csrf_token": {"const": csrf_token}, **fields},
        "additionalProperties": False,
    }


def _parameter(name: str, where: str, schema: Document) -> Document:
    return {"name": name, "in": where, "required": where == "path", "schema": schema}


def _operation(parameters: list[Document], answers: Document, form: Document | None = None) -> Document:
    told = {"parameters": parameters, "responses": {code: _response(content) for code, content in answers.items()}}
    if form:
        told["requestBody"] = {"required": True, "content": {"application/x-www-form-urlencoded": {"schema": form}}}
    return told


def _response(content: Document) -> Document:
    return {"description": "an answer", **({"content": content} if content else {})}


def _document(paths: Document) -> Document:
    return {"openapi": "3.1.0", "info": {"title": "notification-service", "version": "1"}, "paths": paths}
