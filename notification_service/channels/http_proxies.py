"""Which proxy the environment names for a URL: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, and NO_PROXY for hosts without.

What httpx2 does by itself, and does not offer apart from its client.
"""

import ipaddress
from urllib.request import getproxies

import httpcore2
import httpx2

_NO_BRACKETS = str.maketrans("", "", "[]")


def proxy_of(url: httpcore2.URL) -> httpcore2.Proxy | None:
    """None where the host is asked directly. Raises `httpx2.InvalidURL` where the proxy's address cannot be read."""
    named = getproxies()
    address = named.get(url.scheme.decode()) or named.get("all")
    host, port = url.host.decode(), url.origin.port
    if not address or any(_is_direct(host, port, each.strip().lower()) for each in named.get("no", "").split(",")):
        return None
    proxy = httpx2.Proxy(address if "://" in address else f"http://{address}")
    at = httpcore2.URL(scheme=proxy.url.raw_scheme, host=proxy.url.raw_host, port=proxy.url.port, target=b"/")
    return httpcore2.Proxy(at, auth=proxy.raw_auth)


def _is_direct(host: str, port: int, exception: str) -> bool:
    """`exception`: `*`, an address, a network, or a domain, after which a port may follow.

    A domain holds for what is in it too, and for nothing else where `.` or `*.` stands before it.
    """
    if exception == "*":
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(exception.translate(_NO_BRACKETS), strict=False)
    except ValueError:
        domain, _, of_port = exception.partition(":")
    if not domain or (of_port and of_port != str(port)):
        return False
    within = domain.removeprefix("*")
    return host.endswith(within) if within.startswith(".") else host == domain or host.endswith(f".{domain}")
