"""Removes secrets from text: a distinctive secret anywhere, a weak one only where it is used as a credential.

The only module that does this, for log lines, replies of servers, errors of libraries and the output of commands.
"""

import base64
import html
import json
import quopri
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from urllib.parse import quote, quote_plus, unquote

MARK = "[secret]"
"""Replaces a secret."""

_LONG, _MIN_DISTINCTIVE = 16, 8
_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=")
_IN_BASE64 = "[A-Za-z0-9+/_-]"
_LONG_ENOUGH = 6
"""With so many characters, unpadded base64 is not mistaken for a word."""

_PIECE = 12
"""Any so many consecutive characters of a long secret are removed, since replies are cut and folded."""
_MAX_LEARNED = 6
"""How many secrets learned at run time are kept: a late reply may still contain an older one."""

_URL_SAFE, _PLAIN_64 = str.maketrans("+/", "-_"), str.maketrans("-_", "+/")
_NAMED = r"(?i:pass(?:word|wd|phrase|code)?|pwd|secret|token|credentials?|api[_-]?key|requirepass|masterauth)"
_GIVEN = r"[\"']?\s*(?:[:=]|=>)(?:b?[\"'<`])?|[\"']?\s*(?:[:=]|=>)?\s*(?:is\s+)?b?[\"'<`]"
_LABEL_END = r"[\"']?\s*(?:[:=]|=>)\s+"
_AUTH = re.compile(r"\b((?i:AUTH)[ ]+(?:PLAIN|LOGIN|XOAUTH2|OAUTHBEARER|CRAM-MD5)[ ]+)[^\s\"']+")
_USERINFO = re.compile(r"://[^\s/]+@")

_ENCODED = re.compile(r"[\n\\]|%[0-9A-Fa-f]{2}|&[#a-z]|=[0-9A-F]{2}")
_FOLD = re.compile(r"=?\r?\n[ \t]*")
_ESCAPE = re.compile(r"\\(?:u00|x)([0-9A-Fa-f]{2})|\\([^ux])")
_QUOTED = re.compile("=([0-9A-F]{2})")


def _character(found: re.Match[str]) -> str:
    return chr(int(found[1], 16)) if found[1] else found[2]


_DECODERS: tuple[Callable[[str], str], ...] = (
    lambda text: _FOLD.sub("", text),
    lambda text: _ESCAPE.sub(_character, text),
    html.unescape,
    unquote,
    lambda text: _QUOTED.sub(_character, text),
)
"""Folded lines, escapes of JSON and Python, HTML, percent-encoding, and quoted-printable."""


def distinctive(secret: str) -> bool:
    """Whether a text contains the secret only on purpose, so that hiding it anywhere hides no ordinary word.

    A secret of 16 characters or more is distinctive; one of 8 to 15 is, unless it has only letters, in lower, upper or
    title case. Any other (`guest`, `postgres`, `a`) is weak.
    """
    if len(secret) < _MIN_DISTINCTIVE or len(secret) >= _LONG:
        return len(secret) >= _LONG
    return not (secret.isalpha() and secret in (secret.lower(), secret.upper(), secret.title()))


class Secrecy:
    """Replaces the given secrets by `mark`.

    A distinctive secret is hidden anywhere: as it is, partly or wholly percent-encoded, escaped for HTML, JSON, Python
    or mail, in hexadecimal, reversed, and in base64. Of the secrets in `in_pieces` and those added later (tokens, no
    part of which is a word), every piece of 12 characters is hidden. A weak secret, a short or common word, is hidden
    in the userinfo of a URL, after a name such as `password=`, after AUTH, as base64 on its own, and where it is the
    whole value. Elsewhere it is left in the text.
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
        self._learned: dict[str, set[str]] = {}
        self._cores = _any_of(core for secret in strong for core in _cores(secret))
        weak = given - strong
        self._weak = _any_of(
            form for secret in weak for form in (secret, *_percent_encoded(secret), *_shortest_base64(secret))
        )
        self._as_credential = _positions(weak)

    def whole(self, value: str) -> bool:
        """Whether the value is a secret and nothing else."""
        return value.strip(" \t\r\n\"'") in self._all

    def add(self, secret: str) -> None:
        """Hide a secret learned at run time, such as a token. Only the latest six are kept."""
        # Moves a known secret to the end of the order.
        self._learned[secret] = self._learned.pop(secret, set()) or _pieces_of(secret)
        if len(self._learned) > _MAX_LEARNED:
            del self._learned[next(iter(self._learned))]

    def __call__(self, text: str) -> str:
        """The text without secrets; `mark` alone if all of it is a secret."""
        return self._mark if self.whole(text) else self.text(text)

    def text(self, text: str) -> str:
        if self._anywhere:
            text = self._anywhere.sub(lambda _: self._mark, text)
        if self._in_a_url and "%" in text:
            text = self._in_a_url.sub(lambda _: self._mark, text)
        if self._anywhere and _ENCODED.search(text):
            text = self._decoded(text)
        for pieces in (*self._pieces.values(), *self._learned.values()):
            text = _without_pieces(pieces, text, self._mark)
        if self._cores and self._cores.search(text):
            text = "".join(self._without_tokens(self._cores, text))
        # Looking for positions takes 20 times as long, so a quick search comes first.
        if self._as_credential and self._weak and self._weak.search(text):
            text = self._as_credential.sub(lambda found: f"{found['before'] or found['label'] or ''}{self._mark}", text)
        if "AUTH" in text or "auth" in text:
            text = _AUTH.sub(lambda found: f"{found[1]}{self._mark}", text)
        return _USERINFO.sub(f"://{self._mark}@", text) if "://" in text else text

    def _decoded(self, text: str) -> str:
        """The text without folds and escapes where only that shows a secret in it, else the text as it is."""
        shown = text
        for decode in _DECODERS * 2:
            shown = decode(shown)
            if any(secrets and secrets.search(shown) for secrets in (self._anywhere, self._cores)):
                return self._anywhere.sub(lambda _: self._mark, shown) if self._anywhere else shown
        return text

    def _without_tokens(self, cores: re.Pattern[str], text: str) -> Iterator[str]:
        """Removes the whole run of base64 around each core: the characters next to it belong to the secret too."""
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
    """The forms in which a library or server may print a secret, except base64."""
    raw = secret.encode("utf-8", "replace")
    yield from (secret, *_percent_encoded(secret), quote(quote(raw, safe=""), safe=""))
    yield from (html.escape(secret), html.escape(secret, quote=False), html.escape(secret).replace("&#x27;", "&#39;"))
    yield html.escape(secret).replace("&#x27;", "&#39;").replace("&quot;", "&#34;")  # as Jinja does it
    yield from ("".join(f"%{byte:02X}" for byte in raw), "".join(f"%{byte:02x}" for byte in raw))
    yield from (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1])
    yield from (repr(raw)[2:-1], quopri.encodestring(raw).decode().replace("=\n", ""), secret[::-1])
    yield from (raw.hex(), raw.hex().upper(), raw.hex(" "), raw.hex(":"))


def _percent_in_part(secret: str) -> str:
    """A pattern in which each character may be percent-encoded or not."""
    return "".join(
        f"(?:{re.escape(each)}|{''.join(f'(?i:%{byte:02x})' for byte in each.encode('utf-8', 'replace'))})"
        for each in secret
    )


def _joined(patterns: Iterable[str]) -> re.Pattern[str] | None:
    every = sorted(set(patterns), key=len, reverse=True)
    return re.compile("|".join(every)) if every else None


def _pieces_of(secret: str) -> set[str]:
    """Pieces of each form of a long secret, in base64 at each of the three offsets; a short one only as a whole."""
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
    """The base64 that any encoded text with the secret must contain, for each of the three possible offsets."""
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
        # After a blank it may be a word of a sentence, unless it is the last word.
        rf"|(?P<label>{_NAMED}{_LABEL_END})(?:{plain})(?=\s*(?:$|[,;)}}\]\n]))"
        rf"|(?<=:)(?:{plain})(?=@)"
        rf"|(?<=AUTH )(?:{plain})(?!\w)"
        rf"|(?<!{_IN_BASE64})(?:{_alternatives(encoded | unpadded)})(?![A-Za-z0-9+/_=-])"
    )


def _alternatives(forms: Collection[str]) -> str:
    """The longest first: otherwise a password would be cut out of a URL and leave the rest of it."""
    return "|".join(map(re.escape, sorted(forms, key=len, reverse=True)))
