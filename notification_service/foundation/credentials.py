"""Secrets as they are set: the passwords within URLs, what a parser makes of them, and values that everybody knows."""

import base64
import re
from collections.abc import Iterator
from urllib.parse import unquote, unquote_plus

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(?P<rest>.*?)(?=,[A-Za-z][A-Za-z0-9+.-]*://|$)", re.DOTALL)
"""One of several that commas separate."""
_CUTS = re.compile(r"[/?#:@]")
_ENDS_A_HOST = re.compile(r"[/?#]")
_HOSTS = re.compile(r"(?:[^:@/?#]*(?::\d{2,5})?,)*[^:@/?#]*(?::\d{2,5})?[/?#]")
"""What is no login, though an @ follows it somewhere."""
_QUERY_PASSWORD = re.compile(r"[?&](?:password|passwd|tlsCertificateKeyFilePassword)=([^&#\s]+)", re.IGNORECASE)

_PLACEHOLDER = re.compile(r"<.*>|\$?\{.*\}|your[-_ ].*")
_ORDER = re.compile(r"(?:change|replace|fill|insert|set|put)(?:me|it|this|with|in|your).*")
_KNOWN = frozenset(
    "movie guest admin root test password passwort secret token example letmein postgres".split()  # noqa: SIM905 - words
)
_FEW = 4
"""Different characters that make no secret, however long the text is."""
_KEYS = ("abcdefghijklmnopqrstuvwxyz", "01234567890123456789", "0123456789abcdef", "qwertyuiopasdfghjklzxcvbnm")
_OF_COMPOSE = re.compile(r"(?:rabbitmq|localhost|127\.\d+\.\d+\.\d+|\[::1\])(?::|/|$)")
"""Where `movie:movie` of the compose file is no fault: its own network, and this machine."""


def passwords(urls: str) -> Iterator[str]:
    """As they are written and as they are meant; with `#`, `/` or `?` in one, what a parser takes for host and port."""
    for _, password in _logins(urls):
        yield from (password, unquote(password), unquote_plus(password))
        yield from _CUTS.split(password) if _CUTS.search(password) else ()
    yield from (unquote(found) for found in _QUERY_PASSWORD.findall(urls))


def _logins(urls: str) -> Iterator[tuple[str, str]]:
    """User and password; those of RabbitMQ's guest, which it takes from its own machine only, are none."""
    for found in _URL.finditer(urls):
        login, at, _ = found["rest"].rpartition("@")
        user, _, password = login.partition(":")
        if at and password and (user, password) != ("guest", "guest"):
            yield user, password


def sent_by_auth(username: str, password: str) -> Iterator[str]:
    """What AUTH PLAIN sends for it with this name (RFC 4616), so that it is known also where it is short."""
    for form in (f"\0{username}\0{password}", f"{username}\0{username}\0{password}"):
        encoded = base64.b64encode(form.encode()).decode()
        yield from (encoded, encoded.rstrip("="))


def misread(urls: str) -> bool:
    """Whether a login holds what ends the host of a URL: the rest would be taken for host, port and path."""
    logins = (found["rest"].rpartition("@")[0] for found in _URL.finditer(urls))
    return any(_ENDS_A_HOST.search(login) and not _HOSTS.match(login) for login in logins)


def published(secret: str) -> bool:
    """Whether it stands in a form, in a documentation or in every list of guesses, or is no more than a row of keys."""
    plain = secret.strip().casefold()
    letters = re.sub(r"[\W_]+", "", plain)
    return bool(
        letters in _KNOWN
        or _PLACEHOLDER.fullmatch(plain)
        or _ORDER.fullmatch(letters)
        or len(set(plain)) <= _FEW
        or any(plain in row * _FEW or plain in row[::-1] * _FEW for row in _KEYS)
        or any(letters == word * (len(letters) // len(word)) for word in _KNOWN)
    )


def published_login(urls: str) -> bool:
    """Whether a password in it is."""
    return any(
        published(unquote(password))
        and not (user == password == "movie" and _OF_COMPOSE.match(urls.rpartition("@")[2]))
        for user, password in _logins(urls)
    )
