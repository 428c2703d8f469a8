"""Finds the event in a body that wraps it, and the contract's fields under other spellings of their names. Pure.

Producers wrap events by CloudEvents, EventBridge, MassTransit, Celery or a change data capture, and write names in
camel case.
Only spellings and wrappers are seen through: no field is taken for another one.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from notification_service.contract import packing
from notification_service.contract.bodies import JsonObject
from notification_service.contract.remarks import Remark

_IDENTITY = frozenset(("booking_id", "transaction_id", "original_transaction_id", "refund_transaction_id"))
"""An object with one of these fields, even an empty one, is the event."""
_WRAPPERS = (
    *("data", "payload", "detail", "message", "body", "content", "event", "object", "attributes", "after"),
    *("booking", "payment", "refund", "events", "records", "database64", "kwargs", "args"),
)
"""Names of fields that hold a wrapped event, by their letters. The answer of a gateway is none of them."""
_REST = frozenset(
    ("data", "payload", "detail", "message", "body", "content", "attributes", "booking", "payment", "refund")
)
"""Those of them whose object may hold the rest of an event that has its ids outside."""
_PARTS = frozenset(
    ("booking", "user", "movie", "cinema", "show", "ticket", "payment", "transaction", "event", "failure")
)
"""Objects whose name is the first word of fields: `{"movie": {"title": "Up"}}` is `movie_title`."""
_NESTED = _REST | _PARTS
_EMPTY: tuple[object, ...] = (None, "", [])
_TYPES = (
    *("eventtype", "detailtype", "messagetype", "type", "eventname", "event"),
    *("pattern", "routingkey", "topic", "task"),  # NestJS, RabbitMQ's HTTP API, Kafka, Celery
)
"""Fields that name the type of an event, by their letters, the surest first."""
_STANDARD_ENVELOPES = frozenset(("specversion", "detailtype"))
"""Fields of CloudEvents and EventBridge, whose `id` and `time` are those of the event, and not of a booking."""
_HEADERS = ("metadata", "meta", "headers", "header")
"""Fields of an envelope that hold its own id, time and type beside the event. Other fields there may be anybody's."""
_OF_HEADERS = ("eventid", "timestamp")
_TIMES = ("senttime", "eventtime", "occurredat", "occurredon", "publishtime")
"""Names under which envelopes hold the time of their event: MassTransit, Event Grid, Pub/Sub."""
_MAX_LAYERS = 3

_Names = Mapping[str, str]
"""The contract's field names by their letters."""


def by_letters(names: Iterable[str]) -> _Names:
    return {_letters(name): name for name in names}


def opened(body: JsonObject, names: _Names) -> JsonObject:
    """The event in the body, under the contract's names. `names`: those of all fields.

    The body itself where nothing is wrapped or spelt otherwise; else its `text` is that of the whole body.
    """
    if not _IDENTITY.isdisjoint(body) and "".join(body).islower() and _NESTED.isdisjoint(body):
        return body
    layers = next(_layers(body, names, _MAX_LAYERS), [body])
    event = _spelt(layers[-1], names)
    if len(layers) == 1 and (rest := _rest(body, event, names)):
        outside = {name: value for name, value in event.items() if _letters(name) not in _REST}
        return _event(body, {**outside, **rest}, "has some of its fields in an object inside it")
    if len(layers) == 1:
        return body if event == body else _event(body, event, "has fields under other spellings of their names")
    for outer in reversed(layers[:-1]):
        event = {**_of_envelope(outer, names), **{name: value for name, value in event.items() if value is not None}}
    return _event(body, event, "was found inside another object")


def types_named(data: Mapping[str, Any]) -> Iterator[str]:
    """The texts that may name the event's type, the surest first."""
    found = {_letters(name): value for name, value in data.items()}
    for name in _TYPES:
        value = found.get(name)
        for each in value if isinstance(value, list) else (value,):
            if isinstance(each, str):
                yield each


def _event(body: JsonObject, event: Mapping[str, Any], remark: str) -> JsonObject:
    return JsonObject(event, body.text, exact=False, remarks=(*body.remarks, Remark("event", remark)))


def _layers(outer: Mapping[str, Any], names: _Names, left: int) -> Iterator[list[Mapping[str, Any]]]:
    """The ways to an event, from the outermost object to the event itself."""
    if not _IDENTITY.isdisjoint(_spelt(outer, names)):
        yield [outer]
        return
    inner = {_letters(name): value for name, value in outer.items()}
    for name in _WRAPPERS if left else ():
        if (wrapped := _object(inner.get(name))) is not None:
            yield from ([outer, *way] for way in _layers(wrapped, names, left - 1))


def _rest(outer: Mapping[str, Any], event: Mapping[str, Any], names: _Names) -> dict[str, Any]:
    """The fields that the event lacks and an object inside it has, unless that is about another booking or payment."""
    known, found = set(names.values()), dict[str, Any]()
    if not any(map(event.get, _IDENTITY)):
        return found
    for name, value in outer.items():
        inner = _spelt(_object(value) or {}, names) if _letters(name) in _REST else {}
        if all(inner.get(each) in (None, event.get(each)) or not event.get(each) for each in _IDENTITY):
            found |= {field: said for field, said in inner.items() if field in known and event.get(field) in _EMPTY}
    return {field: said for field, said in found.items() if said not in _EMPTY}


def _object(value: object) -> Mapping[str, Any] | None:
    """An object, also one that is written as a text, in base64 too, or is alone in a list."""
    if isinstance(value, list) and len(value) == 1:
        (value,) = value
    if isinstance(value, str):
        try:
            value = json.loads(value if value.lstrip().startswith("{") else packing.from_base64(value.encode()) or "")
        except (ValueError, RecursionError):
            return None
    return value if isinstance(value, Mapping) else None


def _spelt(found: Mapping[str, Any], names: _Names) -> dict[str, Any]:
    """The fields under the contract's names. Where a field occurs twice, its proper name wins."""
    proper = {name: names.get(_letters(name), name) for name in found}
    spelt = {(name if proper[name] in found else proper[name]): value for name, value in found.items()}
    return spelt | {name: value for name, value in _in_parts(found, names) if spelt.get(name) in _EMPTY}


def _in_parts(found: Mapping[str, Any], names: _Names) -> Iterator[tuple[str, Any]]:
    """The fields in objects that hold the second half of their names. One that has ids of its own is an event."""
    for first, part in found.items():
        if (
            isinstance(part, Mapping)
            and _letters(first) in _PARTS
            and not _IDENTITY & {*map(names.get, map(_letters, part))}
        ):
            named = ((names.get(_letters(first + second)), value) for second, value in part.items())
            yield from ((name, value) for name, value in named if name)


def _of_envelope(outer: Mapping[str, Any], names: _Names) -> dict[str, Any]:
    """What an envelope says of its event: id, time, type, and fields of the contract beside the wrapped ones."""
    fields = {**_of_headers(outer), **{_letters(name): value for name, value in outer.items()}}
    if not _STANDARD_ENVELOPES.isdisjoint(fields):
        fields.setdefault("eventid", fields.get("id"))
        fields.setdefault("timestamp", fields.get("time"))
    fields.setdefault("timestamp", next((fields[name] for name in _TIMES if name in fields), None))
    types = {name: fields[name] for name in _TYPES if isinstance(fields.get(name), str | list)}
    named = {name: fields[letters] for letters, name in names.items() if letters in fields}
    return {**types, **dict(_in_parts(outer, names)), **named}


def _of_headers(outer: Mapping[str, Any]) -> dict[str, Any]:
    beside = [value for name, value in outer.items() if _letters(name) in _HEADERS and isinstance(value, Mapping)]
    named = {_letters(name): value for each in beside for name, value in each.items()}
    return {name: value for name, value in named.items() if name in (*_OF_HEADERS, *_TIMES, *_TYPES)}


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name)).casefold()
