"""The addresses that a text names, in whatever spelling, and the keyed digests by which records are found by them.

A digest tells nobody the address who does not have the key, and is the same for every spelling of one mailbox.
"""

import base64
import binascii
import hashlib
import hmac
import html
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from urllib.parse import unquote

from notification_service.foundation.addresses import key

MOST = 200
"""Addresses of one record that have digests. Whatever has more is marked, and looked into by whoever searches."""

MORE = "more"
"""Stands among the digests of a record that names more addresses than that."""

_DIGITS = 32
_DEEPEST = 3
_MAX_TEXT = 4 * 1024 * 1024

_ENDS = r"\s<>\"(),:;@\[\]\\"
_LOCAL, _DOMAIN = rf"[^{_ENDS}]{{1,64}}", rf"[^{_ENDS}'&?/|={{}}!#%*+$^`~]{{1,253}}"
_ADDRESS = re.compile(rf"(?:\"([^\"\n@]{{1,62}})\"|({_LOCAL}))@({_DOMAIN})")
_BEHIND = re.compile(r"[=&?/|{}!]")
"""What may stand in a local part, and more often ends what stands before it, as in `email=jane@…`."""
_AROUND = "'`*"
_JOINT = re.compile(r"[-_#](?=[^@]{1,64}@)")
_ID = re.compile(r"(?:id|fact|number|reference|code)$", re.IGNORECASE)
"""Names of fields that hold an id."""
_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})")
_QUOTED_PRINTABLE = re.compile(r"=([0-9A-Fa-f]{2})")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{10,}={0,2}")
_DOTS = str.maketrans("\u3002\uff61", "..")
_HIDDEN = re.compile("[\u0000\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufffd]")


class Digests:
    """`keys`: the first makes the digests; the others made those of older records."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = [hashlib.sha256(each.encode()).digest() for each in keys]

    def of(self, texts: Iterable[str]) -> list[str]:
        """Of every address in the texts, sorted. Without a key there are none."""
        if not self._keys:
            return []
        found = named_in(texts)
        digests = sorted(_digest(self._keys[0], each) for each in sorted(found)[:MOST])
        return [*digests, MORE] if len(found) > MOST else digests

    def sought(self, address: str) -> list[str]:
        """What the digests of a record may say that names this address."""
        return [MORE, *self.of_address(address)]

    def of_address(self, address: str) -> list[str]:
        """Of one address, under every key, the current one first. Without a key there are none."""
        return [_digest(each, canonical(address)) for each in self._keys]

    @property
    def known(self) -> list[str]:
        """Which keys these are, so that a digest under a lost one is noticed: tells nothing of them."""
        return [hmac.digest(each, b"which key", "sha256").hex()[:_DIGITS] for each in self._keys]


def _digest(secret: bytes, address: str) -> str:
    return hmac.digest(secret, address.encode("utf-8", "surrogatepass"), "sha256").hex()[:_DIGITS]


def canonical(address: str) -> str:
    """The one spelling of a mailbox: letters in one case and one form (NFKC), the domain in ASCII."""
    return unicodedata.normalize("NFKC", key(unicodedata.normalize("NFKC", address)))


def stand_in(text: str) -> str:
    """What stands for a name that holds an address, so that it can be known again and not read."""
    return f"sha256:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:_DIGITS]}"


def named_in(texts: Iterable[str]) -> set[str]:
    """Every address in the texts, each in its one spelling."""
    return {each for text in _readings("\n".join(texts)[:_MAX_TEXT]) for each in _spelled_out(text)}


def names(address: str, texts: Iterable[str]) -> bool:
    return canonical(address) in named_in(texts)


def texts_of_id(text: str) -> Iterator[str]:
    """An id, and what stands in it behind each dash: in `BOOK-jane@…` that may be a mailbox, in a text it is not."""
    yield text
    if "@" in text:
        yield from (text[each.end() :] for each in _JOINT.finditer(text))


def texts_in(value: object) -> Iterator[str]:
    """Every text in what JSON or BSON holds, the names of fields too."""
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


def _readings(text: str) -> Iterator[str]:
    """The text, and what stands in it percent-encoded, as entities, escaped, in quoted-printable or in base64."""
    seen, fresh = set[str](), {text}
    for _ in range(_DEEPEST):
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


def _from_base64(word: str) -> str:
    """Empty for what is none, or holds no address."""
    bare = word.rstrip("=").translate({ord("-"): "+", ord("_"): "/"})
    try:
        content = base64.b64decode(bare + "=" * (-len(bare) % 4))
    except (binascii.Error, ValueError):
        return ""
    return content.decode("utf-8", "replace") if b"@" in content or b"%40" in content else ""


def _spelled_out(text: str) -> Iterator[str]:
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).translate(_DOTS)
    if "@" not in text:
        return
    for quoted, local, domain in _ADDRESS.findall(text):
        host = domain.strip("-.…")
        if "." not in host:
            continue
        for each in dict.fromkeys(_locals(quoted or local)):
            yield canonical(f"{each}@{host}")


def _locals(text: str) -> Iterator[str]:
    yield text
    yield from filter(None, (_BEHIND.split(text)[-1], text.strip(_AROUND)))
