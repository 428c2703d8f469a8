"""Reads the body of a message: decompresses it, decodes its text, and parses the JSON without any loss. Pure."""

import codecs
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from itertools import islice
from typing import Any, NoReturn

from notification_service.contract import packing
from notification_service.contract.packing import NotReadError
from notification_service.contract.remarks import Remark

_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE | re.ASCII)
_CHARSETS = re.compile(
    r"iso8859-\d+|cp125\d|koi8-[ru]|utf-(8|16|32)(-[bl]e|-sig)?|ascii|big5|gb18030|gbk|gb2312|shift_jis|euc_(jp|kr)"
)
"""As Python names them. Stateful and escaping charsets are left out: other readers read them differently."""
_MAX_INTEGER_LENGTH = 4000
"""Characters. Python converts no integer of more than 4,300 digits (CVE-2020-10735)."""
_EXACT_DIGITS = 15
"""Any number of up to 15 digits fits a double exactly (DBL_DIG)."""
_MAX_NAME_LENGTH = 40
_READABLE_TYPES = re.compile(r"json|^text/plain$|octet-stream")


@dataclass(frozen=True, slots=True)
class Body:
    """The bytes as received, with `content_encoding` and `content_type` from the message's properties."""

    content: bytes = field(repr=False)
    encoding: str | None = None
    content_type: str | None = None


class JsonObject(dict[str, Any]):
    """A JSON object together with its original text.

    `text`: the JSON; None where the body was not JSON. `exact`: whether the values hold all of the text; they do not
    where it has a number that a double cannot hold, or the same name twice. `remarks`: how the event was found in it.
    """

    def __init__(
        self,
        values: Mapping[str, Any],
        text: str | None = None,
        *,
        exact: bool = True,
        remarks: tuple[Remark, ...] = (),
    ) -> None:
        super().__init__(values)
        self.text = text
        self.exact = exact
        self.remarks = remarks


def text_of(body: Body, *, max_bytes: int) -> str:
    """The decompressed body as text. `max_bytes`: limit before and after decompression. Raises `NotReadError`."""
    names = packing.codings(body.encoding)
    charsets = [*names, *_CHARSET.findall(body.content_type or "")]
    text = _decoded(packing.unpacked(body.content, names, max_bytes), charsets)
    # Programs in C send the zero byte behind a text, too.
    return text.rstrip("\0") if text[-1:] == "\0" else text


def read(body: Body, *, max_bytes: int) -> object:
    """The JSON in the body (RFC 8259); an object as `JsonObject`. `max_bytes`: as in `text_of`. Raises `NotReadError`.

    Without a content encoding, gzip is recognised by its first bytes. The text is UTF-8; UTF-16 and UTF-32 are
    recognised by their zero bytes. The charset that the sender names is used where the bytes are not UTF-8.
    """
    text = text_of(body, max_bytes=max_bytes)
    try:
        return _parsed(text)
    except RecursionError:
        raise NotReadError("the body is nested too deeply to be read") from None
    except ValueError as problem:
        raise NotReadError(
            f"the body is not JSON: {problem}{_possible_reason(body.encoding, body.content_type)}"
        ) from None


def _alone(found: object, text: str) -> object:
    """The object in a text, or alone in a list: some producers serialise twice, and some write batches.

    Beside it a list may hold texts, such as the name of its class or event, and what Celery calls an event with: the
    arguments by place and by name, and options.
    """
    if isinstance(found, str) and found.lstrip().startswith("{"):
        return _parsed(found)
    listed = _called_with(found) if isinstance(found, list) else []
    objects = [each for each in listed if isinstance(each, dict)]
    if len(objects) == 1 and all(isinstance(each, dict | str) for each in listed):
        named = [each for each in listed if isinstance(each, str)]
        return JsonObject({**({"type": named} if named else {}), **objects[0]}, text, exact=False)
    return found


def _called_with(listed: list[Any]) -> list[Any]:
    """The arguments, where the list is the body of a Celery task; else the list itself."""
    match listed:
        case [list() as by_place, dict() as by_name, {"callbacks": _}]:
            return [*by_place, *filter(None, (by_name,))]
    return listed


def why_no_object(found: object) -> str:
    """Why the JSON is no event, and what to do about it."""
    objects = sum(isinstance(each, dict) for each in found) if isinstance(found, list) else 0
    if objects > 1:
        batch = f"the body is a list of {objects} objects, and a message is one event"
        return f"{batch}: publish each of them by itself, then discard this"
    kinds = {str: "a text", list: "a list", bool: "true or false", type(None): "null"}
    return f"the body is {kinds.get(type(found), 'a number')} in JSON, and an event is an object"


def beginning(body: Body, *, characters: int) -> str:
    """The beginning of a body that cannot be read; bytes that are not UTF-8 become escapes."""
    try:
        content = packing.unpacked(body.content, packing.codings(body.encoding), len(body.content) + 64 * characters)
    except NotReadError:
        content = body.content
    return content[: 4 * characters].decode("utf-8", "backslashreplace")[:characters]


def _possible_reason(encoding: str | None, content_type: str | None = None) -> str:
    """A possible reason to add to an error: a content encoding or type that the service does not read."""
    ignored = {"identity", *packing.COMPRESSIONS}
    unknown = [name for name in packing.codings(encoding) if name not in ignored and _codec(name) is None]
    if unknown:
        return f"; its content_encoding is {unknown[0][:_MAX_NAME_LENGTH]!a}, which is not read"
    media_type = (content_type or "").partition(";")[0].strip().lower()
    if not media_type or _READABLE_TYPES.search(media_type):
        return ""
    return f"; its content_type is {media_type[:_MAX_NAME_LENGTH]!a}, and only JSON is read"


# ── text ─────────────────────────────────────────────────────────────────────────────────────────────


def _decoded(content: bytes, charsets: list[str]) -> str:
    try:
        return content.decode(json.detect_encoding(content))
    except UnicodeDecodeError as problem:
        for codec in filter(None, map(_codec, charsets)):
            try:
                return content.decode(codec)
            except UnicodeDecodeError:
                continue
        unpacked = _possible_reason(",".join(charsets)) if charsets else ""
        raise NotReadError(
            f"the body is not {problem.encoding.upper()}: {problem.reason} at byte {problem.start}{unpacked}"
        ) from None


def _codec(charset: str) -> str | None:
    """Python's name for a charset that the service reads; None for others."""
    try:
        name = codecs.lookup(charset).name
    except (LookupError, ValueError):
        return None
    return name if _CHARSETS.fullmatch(name) else None


# ── JSON ─────────────────────────────────────────────────────────────────────────────────────────────


def _parsed(text: str) -> object:
    """Parse JSON. A number too large for Python or a double is kept as its text; of two fields of one name, the last.

    RFC 8259 §4 leaves open which one counts.
    """
    exact = True
    remarks: list[Remark] = []

    def integer(literal: str) -> int | str:
        nonlocal exact
        if len(literal) <= _MAX_INTEGER_LENGTH:
            return int(literal)
        exact = False
        return literal

    def fraction(literal: str) -> float | str:
        nonlocal exact
        number = float(literal)
        exact = exact and _is_exact(number, literal)
        return number if math.isfinite(number) else literal

    def named(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal exact
        values = dict(pairs)
        if len(values) != len(pairs):
            exact = False
            remarks.extend(_contradicted(pairs, values))
        return values

    found = json.loads(
        text, parse_int=integer, parse_float=fraction, parse_constant=_no_constant, object_pairs_hook=named
    )
    if isinstance(found, dict):
        return JsonObject(found, text, exact=exact, remarks=tuple(remarks[:1]))
    return _alone(found, text)


def _contradicted(pairs: list[tuple[str, Any]], values: Mapping[str, Any]) -> Iterator[Remark]:
    """One remark at most, for the first name whose values differ."""
    names = (name for name, value in pairs if value != values[name])
    for name in islice(names, 1):
        named = name if name.isidentifier() and len(name) <= _MAX_NAME_LENGTH else "a field"
        yield Remark("event", f"has {named} twice with different values: the last one counts")


def _is_exact(number: float, literal: str) -> bool:
    """Whether the double has exactly the value of the literal."""
    if len(literal) <= _EXACT_DIGITS and "e" not in literal and "E" not in literal:
        return True
    try:
        return Decimal(literal) == Decimal(repr(number))
    except InvalidOperation:
        return False


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
