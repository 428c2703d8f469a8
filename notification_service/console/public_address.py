"""The address under which browsers open the console, and what follows for cookies, hosts and forms."""

from collections.abc import Mapping

from starlette.requests import HTTPConnection

_NAME = "notification_console"


class PublicAddress:
    """`url`: the scheme and host of CONSOLE_URL, also behind a gateway; None if it is unset."""

    def __init__(self, url: str | None) -> None:
        self._url = url

    def is_addressed(self, headers: Mapping[str, str]) -> bool:
        """Returns whether a request is for the host of the URL; without a URL any host is accepted."""
        return self._url is None or headers.get("host", "").lower() in _hosts(self._url)

    def is_from_here(self, headers: Mapping[str, str]) -> bool:
        """Returns whether a form comes from the console itself, by Fetch Metadata or `Origin` (RFC 6454)."""
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        if site is not None and site != "same-origin":
            return False
        if self._url is not None:
            return origin in (None, self._url)
        host = headers.get("host")
        own = [f"{scheme}://{host}" for scheme in _PORTS] if host else []
        # A proxy may have changed the host; Fetch Metadata does not depend on it.
        return site is not None or origin in (None, *own)

    def is_secure(self, connection: HTTPConnection) -> bool:
        return (self._url or connection.scope["scheme"]).startswith("https")

    def cookie(self, connection: HTTPConnection) -> str:
        """The name of the session cookie. With `__Host-`, no other host of the domain can set it."""
        return f"__Host-{_NAME}" if self.is_secure(connection) else _NAME

    def session(self, connection: HTTPConnection) -> str:
        return connection.cookies.get(self.cookie(connection), "")

    def known_cookie(self, connection: HTTPConnection) -> str:
        """The name of the cookie that identifies a browser that signed in before."""
        return f"{self.cookie(connection)}_known"


_PORTS = {"http": ":80", "https": ":443"}


def _hosts(url: str) -> tuple[str, str]:
    """Returns the host with and without the default port."""
    scheme, _, host = url.partition("://")
    return host, host + _PORTS[scheme]
