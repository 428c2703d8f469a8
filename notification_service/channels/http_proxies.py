"""Which proxy the environment names for a URL: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, and NO_PROXY for hosts without.

What httpx2 does by itself, and does not offer apart from its client.
"""

import contextlib
import ipaddress
import re
from urllib.request import getproxies

import httpcore2
import httpx2

_EXCEPTION = re.compile(
    r"(?:(?P<scheme>\w+)://)?(?P<host>\*|\[[^]]*](?:/\d+)?|[^:]+|[0-9a-f:./]+)(?::(?P<port>\d+))?", re.IGNORECASE
)
_NO_BRACKETS = str.maketrans("", "", "[]")


def proxy_of(url: httpcore2.URL) -> httpcore2.Proxy | None:
    """None where the host is asked directly. Raises `httpx2.InvalidURL` where the proxy's address cannot be read."""
    named = getproxies()
    address = named.get(url.scheme.decode()) or named.get("all")
    exceptions = (each.strip().lower() for each in named.get("no", "").split(","))
    if not address or any(_holds(each, url) for each in exceptions):
        return None
    proxy = httpx2.Proxy(address if "://" in address else f"http://{address}")
    at = httpcore2.URL(scheme=proxy.url.raw_scheme, host=proxy.url.raw_host, port=proxy.url.port, target=b"/")
    return httpcore2.Proxy(at, auth=proxy.raw_auth)


def _holds(exception: str, url: httpcore2.URL) -> bool:
    """`exception`: `*`, an address, a network or a domain, with a scheme and a port where it is about these alone."""
    said = _EXCEPTION.fullmatch(exception)
    if said is None or said["scheme"] not in (None, "all", url.scheme.decode()):
        return False
    return said["port"] in (None, str(url.origin.port)) and _is_of(url.host.decode(), said["host"])


def _is_of(host: str, named: str) -> bool:
    """A domain holds for what is in it too, and for nothing else where `.` or `*.` stands before it."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host) in ipaddress.ip_network(named.translate(_NO_BRACKETS), strict=False)
    if named.startswith((".", "*.")):
        return host.endswith(named.removeprefix("*"))
    return named in ("*", host) or host.endswith(f".{named}")
