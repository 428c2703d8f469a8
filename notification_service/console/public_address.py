"""Under which address browsers open the console, and what follows for its cookie, its hosts and its forms."""

from collections.abc import Mapping

from starlette.requests import HTTPConnection

_NAME = "notification_console"


class Front:
    """`url`: the scheme and host that a setting names, behind a gateway too; None where none does."""

    def __init__(self, url: str | None) -> None:
        self._url = url

    def is_addressed(self, headers: Mapping[str, str]) -> bool:
        """Whether a request is for the host that is named; for any where none is."""
        return self._url is None or headers.get("host", "").lower() in _hosts(self._url)

    def is_from_here(self, headers: Mapping[str, str]) -> bool:
        """By what the browser itself says of where a form comes from (Fetch Metadata, RFC 6454)."""
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        if site is not None and site != "same-origin":
            return False
        if self._url is not None:
            return origin in (None, self._url)
        host = headers.get("host")
        own = [f"{scheme}://{host}" for scheme in _PORTS] if host else []
        # A proxy may have changed the host; the browser's own word does not depend on it.
        return site is not None or origin in (None, *own)

    def is_secure(self, connection: HTTPConnection) -> bool:
        return (self._url or connection.scope["scheme"]).startswith("https")

    def cookie(self, connection: HTTPConnection) -> str:
        """The name of its cookie. Under `__Host-`, no other host of the domain can set one."""
        return f"__Host-{_NAME}" if self.is_secure(connection) else _NAME

    def session(self, connection: HTTPConnection) -> str:
        return connection.cookies.get(self.cookie(connection), "")

    def known_cookie(self, connection: HTTPConnection) -> str:
        """The name of the cookie by which a browser that signed in before is known."""
        return f"{self.cookie(connection)}_known"


_PORTS = {"http": ":80", "https": ":443"}


def _hosts(url: str) -> tuple[str, str]:
    """With and without the port that goes without saying."""
    scheme, _, host = url.partition("://")
    return host, host + _PORTS[scheme]
