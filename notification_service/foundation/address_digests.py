"""Finds mail addresses and phone numbers in a text, however spelled, and makes the keyed digests to find records by.

Without the key, a digest does not reveal its address. All spellings of one mailbox or number have the same digest.
"""

import base64
import binascii
import hashlib
import hmac
import html
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from urllib.parse import unquote

from notification_service.foundation.addresses import key
from notification_service.foundation.phone_numbers import numbers_in

MAX_DIGESTS = 200
"""The most digests of one record. A record with more addresses gets `MORE`, and a search reads the record itself."""

MORE = "more"
"""Marks, among the digests, a record with more addresses than `MAX_DIGESTS`."""

_DIGEST_LENGTH = 32
_MAX_DEPTH = 3
_MAX_TEXT = 4 * 1024 * 1024

_ENDS = r"\s<>\"(),:;@\[\]\\"
_LOCAL, _DOMAIN = rf"[^{_ENDS}]{{1,64}}", rf"[^{_ENDS}'&?/|={{}}!#%*+$^`~]{{1,253}}"
_ADDRESS = re.compile(rf"(?:\"([^\"\n@]{{1,62}})\"|({_LOCAL}))@({_DOMAIN})")
_SEPARATORS = re.compile(r"[=&?/|{}!]")
"""Characters that a local part may contain, but that more often separate, as in `email=jane@…`."""
_MAX_LOCAL, _MAX_DOMAIN = 64, 254
"""In characters: the two quotes of a local part, and the "@" before a domain, are among them."""
_AROUND = "'`*"
_JOINT = re.compile(r"[-_#](?=[^@]{1,64}@)")
_ID = re.compile(r"(?:id|fact|number|reference|code)$", re.IGNORECASE)
"""The names of fields that hold an id."""
_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})")
_QUOTED_PRINTABLE = re.compile(r"=([0-9A-Fa-f]{2})")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{10,}={0,2}")
_AT_IN_BASE64 = re.compile(r"Q[A-P]|[EUk0][A-D]|[BFJNRVZdhlptx159]A|JT|[CSiy]U|lN")
"""What "@" or "%4" look like in base64, at each of the three offsets of a byte in its group of four letters."""
_DOTS = str.maketrans("\u3002\uff61", "..")
_HIDDEN = re.compile("[\u0000\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufffd]")


class Digests:
    """`keys`: new digests are made with the first; the others are those of older records."""

    def __init__(self, keys: Sequence[str]) -> None:
        secrets = [hashlib.sha256(each.encode()).digest() for each in keys]
        self._keys = [hmac.new(each, digestmod="sha256") for each in secrets]

    def of(self, texts: Iterable[str]) -> list[str]:
        """The digest of every address in the texts, sorted; empty without a key."""
        if not self._keys:
            return []
        found = named_in(texts)
        digests = sorted(_digest(self._keys[0], each) for each in sorted(found)[:MAX_DIGESTS])
        return [*digests, MORE] if len(found) > MAX_DIGESTS else digests

    def to_search(self, address: str) -> list[str]:
        """The digests to look for in records that may contain this address."""
        return [MORE, *self.of_address(address)]

    def of_address(self, address: str) -> list[str]:
        """Of one address, under every key, the current one first. Without a key there are none."""
        return [_digest(each, canonical(address)) for each in self._keys]

    @property
    def key_ids(self) -> list[str]:
        """An id of each key, which does not reveal the key, so that digests made with a lost key are noticed."""
        return [_keyed(each, b"which key") for each in self._keys]


def _digest(key: hmac.HMAC, address: str) -> str:
    return _keyed(key, address.encode("utf-8", "surrogatepass"))


def _keyed(key: hmac.HMAC, text: bytes) -> str:
    """A copy of the keyed state: unlike `hmac.digest` it lets no other thread run in between."""
    digest = key.copy()
    digest.update(text)
    return digest.hexdigest()[:_DIGEST_LENGTH]


def canonical(address: str) -> str:
    """The canonical spelling of a mailbox: one letter case, NFKC, the domain in ASCII."""
    return unicodedata.normalize("NFKC", key(unicodedata.normalize("NFKC", address)))


def stand_in(text: str) -> str:
    """A digest to use in place of an id that contains an address: recognisable, but not readable."""
    return f"sha256:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:_DIGEST_LENGTH]}"


def named_in(texts: Iterable[str]) -> set[str]:
    """Every mail address and phone number in the texts, in its canonical spelling."""
    decoded = _decodings("\n".join(texts)[:_MAX_TEXT])
    return {each for text in decoded for each in chain(_addresses_of(text), numbers_in(text))}


def may_name(text: str) -> bool:
    """Whether it is worth looking for an address or a number in the text."""
    return "@" in text or "+" in text


def names(address: str, texts: Iterable[str]) -> bool:
    return canonical(address) in named_in(texts)


def texts_of_id(text: str) -> Iterator[str]:
    """The id, and the part after each dash: in an id such as `BOOK-jane@…`, unlike in prose, that may be a mailbox."""
    yield text
    if "@" in text:
        yield from (text[each.end() :] for each in _JOINT.finditer(text))


def texts_in(value: object) -> Iterator[str]:
    """Every text in a JSON or BSON value, the names of fields included."""
    left = [value]
    while left:
        match left.pop():
            case str() as text:
                yield text
            case bytes() as content:
                yield content.decode("utf-8", "replace")
            case Mapping() as held:
                left += (*held.keys(), *held.values())
                ids = (each for name, each in held.items() if _ID.search(str(name)))
                yield from (text for each in ids if isinstance(each, str) for text in texts_of_id(each))
            case list() | tuple() as listed:
                left += listed
            case _:
                continue


def _decodings(text: str) -> Iterator[str]:
    """The text, and its decodings: percent-encoding, HTML entities, escapes, quoted-printable, base64."""
    seen, fresh = set[str](), {text}
    for _ in range(_MAX_DEPTH):
        yield from (each for each in fresh if each)
        seen |= fresh
        fresh = {again for each in fresh for again in _decoded(each)} - seen
        if not fresh:
            return
    yield from fresh


def _decoded(text: str) -> Iterator[str]:
    if "%" in text:
        yield unquote(text)
    if "&" in text:
        yield html.unescape(text)
    if "\\" in text:
        yield _ESCAPED.sub(lambda found: chr(int(found[1] or found[2], 16)), text)
    if "=" in text:
        yield _QUOTED_PRINTABLE.sub(lambda found: chr(int(found[1], 16)), text)
    if packed := _BASE64.findall(text):
        yield "\n".join(filter(None, map(_from_base64, packed)))
    if _HIDDEN.search(text):
        yield _HIDDEN.sub("", text)


def _from_base64(token: str) -> str:
    """The decoded text; empty if it is not base64 or contains no address."""
    if not _AT_IN_BASE64.search(token):
        return ""
    bare = token.rstrip("=").translate({ord("-"): "+", ord("_"): "/"})
    try:
        content = base64.b64decode(bare + "=" * (-len(bare) % 4))
    except (binascii.Error, ValueError):
        return ""
    return content.decode("utf-8", "replace") if b"@" in content or b"%40" in content else ""


def _addresses_of(text: str) -> Iterator[str]:
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).translate(_DOTS)
    if "@" not in text:
        return
    for quoted, local, domain in _parts_of_addresses(text):
        host = domain.strip("-.…")
        if "." not in host:
            continue
        for each in dict.fromkeys(_locals(quoted or local)):
            yield canonical(f"{each}@{host}")


def _parts_of_addresses(text: str) -> Iterator[tuple[str, str, str]]:
    """As `_ADDRESS.findall`, which would try every letter of the text as a beginning: here only those near an "@"."""
    end = 0
    while (at := text.find("@", end)) >= 0:
        found = _ADDRESS.search(text, max(end, at - _MAX_LOCAL), at + _MAX_DOMAIN)
        if found is None or found.start(3) != at + 1:
            end = at + 1
        else:
            yield found[1] or "", found[2] or "", found[3]
            end = found.end()


def _locals(text: str) -> Iterator[str]:
    yield text
    yield from filter(None, (_SEPARATORS.split(text)[-1], text.strip(_AROUND)))
