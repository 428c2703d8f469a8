"""Secrets taken out of text: a distinctive one wherever it stands, a weak one only where it stands as a credential.

The only module that does it: for log lines, for what a server or a library says, and for what a command prints.
"""

import base64
import html
import json
import quopri
import re
from collections.abc import Collection, Iterable, Iterator
from urllib.parse import quote, quote_plus

MARK = "[secret]"
"""What stands where a secret stood."""

_LONG, _SHORTEST = 16, 8
_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=")
_IN_BASE64 = "[A-Za-z0-9+/_-]"
_LONG_ENOUGH = 6
"""Characters of base64 that are no word even without their padding."""

_PIECE = 12
"""So many characters of a long secret in a row are taken out: a reply is cut, folded and put together anew."""
_REMEMBERED = 6
"""Secrets that change: the latest of them, as an answer may come late."""

_URL_SAFE, _PLAIN_64 = str.maketrans("+/", "-_"), str.maketrans("-_", "+/")
_NAMED = r"(?i:pass(?:word|wd|phrase|code)?|pwd|secret|token|credentials?|api[_-]?key|requirepass|masterauth)"
_GIVEN = r"[\"']?\s*(?:[:=]|=>)(?:b?[\"'<`])?|[\"']?\s*(?:[:=]|=>)?\s*(?:is\s+)?b?[\"'<`]"
_TOLD = r"[\"']?\s*(?:[:=]|=>)\s+"
_AUTH = re.compile(r"\b((?i:AUTH)[ ]+(?:PLAIN|LOGIN|XOAUTH2|OAUTHBEARER|CRAM-MD5)[ ]+)[^\s\"']+")
_USERINFO = re.compile(r"://[^\s/]+@")


def distinctive(secret: str) -> bool:
    """Whether a text would hold it by no accident, so that it can be hidden anywhere without taking words away.

    That is so from 16 characters on, and from 8 where it is no plain word: letters of more than one case in another
    order than a name's, or anything that is no letter. Any other (`guest`, `postgres`, `a`) is weak.
    """
    if len(secret) < _SHORTEST or len(secret) >= _LONG:
        return len(secret) >= _LONG
    return not (secret.isalpha() and secret in (secret.lower(), secret.upper(), secret.title()))


class Secrecy:
    """Hides the secrets that it is made with, behind `mark`.

    A distinctive secret is hidden anywhere: as it is, in part or wholly percent-encoded, escaped for HTML, JSON, Python
    or mail, in hexadecimal, reversed, and in the base64 of whatever holds it. Of those `in_pieces`, and of what is
    added later, each piece of twelve characters is: tokens, of which no part is a word. A weak one,
    a short or common word, is hidden in the userinfo of a URL, after a word such as `password=`, after
    AUTH, as its base64 that stands alone, and where it is all of a value (`whole`): a word elsewhere stays a word.
    """

    def __init__(self, secrets: Iterable[str] = (), mark: str = MARK, *, in_pieces: Iterable[str] = ()) -> None:
        in_pieces = [secret for secret in in_pieces if secret]
        secrets = (*secrets, *in_pieces)
        given = {secret for secret in secrets if secret}
        strong = {secret for secret in given if distinctive(secret)}
        self._mark = mark
        self._all = given | {form for secret in given for form in _percent_encoded(secret)}
        self._anywhere = _any_of(form for secret in strong for form in _written(secret))
        self._in_a_url = _joined(_percent_in_part(secret) for secret in strong)
        self._pieces = {secret: _pieces_of(secret) for secret in in_pieces}
        self._passing: dict[str, set[str]] = {}
        self._cores = _any_of(core for secret in strong for core in _cores(secret))
        weak = given - strong
        self._weak = _any_of(
            form for secret in weak for form in (secret, *_percent_encoded(secret), *_shortest_base64(secret))
        )
        self._as_credential = _positions(weak)

    def whole(self, value: str) -> bool:
        """Whether it is a secret and nothing else."""
        return value.strip(" \t\r\n\"'") in self._all

    def add(self, secret: str) -> None:
        """One that was learned at run time, such as a token; only the latest are remembered."""
        # At the end, also where it was known before.
        self._passing[secret] = self._passing.pop(secret, set()) or _pieces_of(secret)
        if len(self._passing) > _REMEMBERED:
            del self._passing[next(iter(self._passing))]

    def __call__(self, text: str) -> str:
        """What is told instead of a text that may be a secret, or hold one."""
        return self._mark if self.whole(text) else self.text(text)

    def text(self, text: str) -> str:
        if self._anywhere:
            text = self._anywhere.sub(lambda _: self._mark, text)
        if self._in_a_url and "%" in text:
            text = self._in_a_url.sub(lambda _: self._mark, text)
        for pieces in (*self._pieces.values(), *self._passing.values()):
            text = _without_pieces(pieces, text, self._mark)
        if self._cores and self._cores.search(text):
            text = "".join(self._without_tokens(self._cores, text))
        # Where it stands nowhere, its positions, which take twenty times as long, need not be looked at.
        if self._as_credential and self._weak and self._weak.search(text):
            text = self._as_credential.sub(lambda found: f"{found['before'] or found['told'] or ''}{self._mark}", text)
        if "AUTH" in text or "auth" in text:
            text = _AUTH.sub(lambda found: f"{found[1]}{self._mark}", text)
        return _USERINFO.sub(f"://{self._mark}@", text) if "://" in text else text

    def _without_tokens(self, cores: re.Pattern[str], text: str) -> Iterator[str]:
        """The whole run of base64 around each core goes: what stands next to it is a part of the secret too."""
        done = 0
        for found in cores.finditer(text):
            if found.start() < done:
                continue
            begin, end = found.span()
            while begin > done and text[begin - 1] in _BASE64:
                begin -= 1
            while end < len(text) and text[end] in _BASE64:
                end += 1
            yield text[done:begin] + self._mark
            done = end
        yield text[done:]


def _any_of(forms: Iterable[str]) -> re.Pattern[str] | None:
    distinct = set(forms)
    return re.compile(_alternatives(distinct)) if distinct else None


def _percent_encoded(secret: str) -> Iterator[str]:
    raw = secret.encode("utf-8", "replace")
    for form in (quote(raw), quote(raw, safe=""), quote_plus(raw)):
        yield form
        yield re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), form)


def _written(secret: str) -> Iterator[str]:
    """In the ways in which a library or a server writes a text down, but for base64."""
    raw = secret.encode("utf-8", "replace")
    yield from (secret, *_percent_encoded(secret), quote(quote(raw, safe=""), safe=""))
    yield from (html.escape(secret), html.escape(secret, quote=False), html.escape(secret).replace("&#x27;", "&#39;"))
    yield html.escape(secret).replace("&#x27;", "&#39;").replace("&quot;", "&#34;")  # as Jinja does it
    yield from ("".join(f"%{byte:02X}" for byte in raw), "".join(f"%{byte:02x}" for byte in raw))
    yield from (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1])
    yield from (repr(raw)[2:-1], quopri.encodestring(raw).decode().replace("=\n", ""), secret[::-1])
    yield from (raw.hex(), raw.hex().upper(), raw.hex(" "), raw.hex(":"))


def _percent_in_part(secret: str) -> str:
    """Any of its characters may be percent-encoded and any may be not."""
    return "".join(
        f"(?:{re.escape(each)}|{''.join(f'(?i:%{byte:02x})' for byte in each.encode('utf-8', 'replace'))})"
        for each in secret
    )


def _joined(patterns: Iterable[str]) -> re.Pattern[str] | None:
    every = sorted(set(patterns), key=len, reverse=True)
    return re.compile("|".join(every)) if every else None


def _pieces_of(secret: str) -> set[str]:
    """Of each form of a long secret, base64's shift included; a short one is no token, and known as a whole."""
    if len(secret) < 2 * _PIECE:
        return {secret} if distinctive(secret) else set()
    forms = {form.translate(_PLAIN_64) for form in (*_written(secret), *_cores(secret))}
    return {form[at : at + _PIECE] for form in forms for at in range(len(form) - _PIECE + 1)}


def _without_pieces(pieces: set[str], text: str, mark: str) -> str:
    read, hidden = text.translate(_PLAIN_64), bytearray(len(text))
    for length in {len(piece) for piece in pieces}:
        for at in range(len(read) - length + 1):
            if read[at : at + length] in pieces:
                hidden[at : at + length] = b"\1" * length
    if not any(hidden):
        return text
    shown = zip(text, hidden, b"\0" + hidden, strict=False)
    return "".join(("" if before else mark) if hides else character for character, hides, before in shown)


def _base64(raw: bytes) -> Iterator[str]:
    encoded = base64.b64encode(raw).decode()
    yield encoded
    yield encoded.translate(_URL_SAFE)


def _shortest_base64(secret: str) -> Iterator[str]:
    return (encoded.rstrip("=") for encoded in _base64(secret.encode("utf-8", "replace")))


def _cores(secret: str) -> Iterator[str]:
    """What the base64 of any text that holds the secret holds for certain, wherever in it the secret stands."""
    raw = secret.encode("utf-8", "replace")
    for offset in range(3):
        end = (offset + len(raw)) * 8 // 6
        for encoded in _base64(bytes(offset) + raw):
            yield encoded[-(-offset * 8 // 6) : end]


def _positions(weak: Collection[str]) -> re.Pattern[str] | None:
    if not weak:
        return None
    plain = _alternatives({*weak, *(form for each in weak for form in _percent_encoded(each))})
    encoded = {form for each in weak for form in _base64(each.encode("utf-8", "replace"))}
    encoded |= {form for each in weak if len(form := each.encode("utf-8", "replace").hex()) >= _LONG_ENOUGH}
    unpadded = {stripped for form in encoded if len(stripped := form.rstrip("=")) >= _LONG_ENOUGH}
    return re.compile(
        rf"(?P<before>{_NAMED}(?:{_GIVEN}))(?:{plain})(?!\w)"
        # Behind a blank it may be a word of a sentence, unless it is the last.
        rf"|(?P<told>{_NAMED}{_TOLD})(?:{plain})(?=\s*(?:$|[,;)}}\]\n]))"
        rf"|(?<=:)(?:{plain})(?=@)"
        rf"|(?<=AUTH )(?:{plain})(?!\w)"
        rf"|(?<!{_IN_BASE64})(?:{_alternatives(encoded | unpadded)})(?![A-Za-z0-9+/_=-])"
    )


def _alternatives(forms: Collection[str]) -> str:
    """The longest first, or a password would be cut out of the URL that holds it and leave the rest."""
    return "|".join(map(re.escape, sorted(forms, key=len, reverse=True)))
