"""Secrets as they are set: the passwords within URLs, what a parser makes of them, and values that everybody knows."""

import base64
import re
from collections.abc import Iterator
from urllib.parse import unquote, unquote_plus

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(?P<rest>.*?)(?=,[A-Za-z][A-Za-z0-9+.-]*://|$)", re.DOTALL)
"""One of several URLs, separated by commas."""
_CUTS = re.compile(r"[/?#:@]")
_HOST_END = re.compile(r"[/?#]")
_HOSTS = re.compile(r"(?:[^:@/?#]*(?::\d{2,5})?,)*[^:@/?#]*(?::\d{2,5})?[/?#]")
"""Several hosts, not a login, although an @ follows later."""
_QUERY_PASSWORD = re.compile(r"[?&](?:password|passwd|tlsCertificateKeyFilePassword)=([^&#\s]+)", re.IGNORECASE)

_PLACEHOLDER = re.compile(r"<.*>|\$?\{.*\}|your[-_ ].*")
_INSTRUCTION = re.compile(r"(?:change|replace|fill|insert|set|put)(?:me|it|this|with|in|your).*")
_COMMON = frozenset(
    "movie guest admin root test password passwort secret token example letmein postgres".split()  # noqa: SIM905 - words
)
_FEW = 4
"""With so few different characters, a text of any length is not a secret."""
_KEYS = ("abcdefghijklmnopqrstuvwxyz", "01234567890123456789", "0123456789abcdef", "qwertyuiopasdfghjklzxcvbnm")
_COMPOSE_HOSTS = re.compile(r"(?:rabbitmq|localhost|127\.\d+\.\d+\.\d+|\[::1\])(?::|/|$)")
"""Hosts where the compose file's `movie:movie` is acceptable: its own network, and this machine."""


def passwords(urls: str) -> Iterator[str]:
    """The passwords in the URLs, as written and decoded, and the parts to which a URL parser cuts them at `#/?:@`."""
    for _, password in _logins(urls):
        yield from (password, unquote(password), unquote_plus(password))
        yield from _CUTS.split(password) if _CUTS.search(password) else ()
    yield from (unquote(found) for found in _QUERY_PASSWORD.findall(urls))


def _logins(urls: str) -> Iterator[tuple[str, str]]:
    """Each user with its password, except `guest:guest`, which RabbitMQ accepts from its own machine only."""
    for found in _URL.finditer(urls):
        login, at, _ = found["rest"].rpartition("@")
        user, _, password = login.partition(":")
        if at and password and (user, password) != ("guest", "guest"):
            yield user, password


def sent_by_auth(username: str, password: str) -> Iterator[str]:
    """The base64 that AUTH PLAIN sends (RFC 4616), by which even a short password is recognised."""
    for form in (f"\0{username}\0{password}", f"{username}\0{username}\0{password}"):
        encoded = base64.b64encode(form.encode()).decode()
        yield from (encoded, encoded.rstrip("="))


def misread(urls: str) -> bool:
    """Whether a login contains an unencoded `/`, `?` or `#`, so that a URL parser would cut it there."""
    logins = (found["rest"].rpartition("@")[0] for found in _URL.finditer(urls))
    return any(_HOST_END.search(login) and not _HOSTS.match(login) for login in logins)


def published(secret: str) -> bool:
    """Whether the secret is a placeholder, an example, a common password, or a row of keys."""
    plain = secret.strip().casefold()
    letters = re.sub(r"[\W_]+", "", plain)
    return bool(
        letters in _COMMON
        or _PLACEHOLDER.fullmatch(plain)
        or _INSTRUCTION.fullmatch(letters)
        or len(set(plain)) <= _FEW
        or any(plain in row * _FEW or plain in row[::-1] * _FEW for row in _KEYS)
        or any(letters == word * (len(letters) // len(word)) for word in _COMMON)
    )


def published_login(urls: str) -> bool:
    """Whether a password in the URLs is a published one."""
    return any(
        published(unquote(password))
        and not (user == password == "movie" and _COMPOSE_HOSTS.match(urls.rpartition("@")[2]))
        for user, password in _logins(urls)
    )
