"""Secrets taken out of text: a distinctive one wherever it stands, a weak one only where it stands as a credential."""

import base64
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

_URL_SAFE = str.maketrans("+/", "-_")
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

    A distinctive secret is hidden anywhere, in any case as it is, percent-encoded, and in the base64 of whatever holds
    it. A weak one, a short or common word, is hidden in the userinfo of a URL, after a word such as `password=`, after
    AUTH, as its base64 that stands alone, and where it is all of a value (`whole`): a word elsewhere stays a word.
    """

    def __init__(self, secrets: Iterable[str], mark: str = MARK) -> None:
        given = {secret for secret in secrets if secret}
        strong = {secret for secret in given if distinctive(secret)}
        self._mark = mark
        self._all = given | {form for secret in given for form in _percent_encoded(secret)}
        self._anywhere = _any_of(form for secret in strong for form in (secret, *_percent_encoded(secret)))
        self._cores = _any_of(core for secret in strong for core in _cores(secret))
        weak = given - strong
        self._weak = _any_of(
            form for secret in weak for form in (secret, *_percent_encoded(secret), *_shortest_base64(secret))
        )
        self._as_credential = _positions(weak)

    def whole(self, value: str) -> bool:
        """Whether it is a secret and nothing else."""
        return value.strip(" \t\r\n\"'") in self._all

    def text(self, text: str) -> str:
        if self._anywhere:
            text = self._anywhere.sub(lambda _: self._mark, text)
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
