"""Checks the host of a URL, so that a missing or misspelt one is reported before it is used."""

import ipaddress
import re
from typing import TypeGuard

_NAME = re.compile(r"[\w-]+(\.[\w-]+)*\.?")
"""Underscores are allowed: container names have them. The resolver encodes names that are not ASCII."""
_MAX_NAME = 254
"""RFC 1035: 253 characters and the dot of the root."""


def is_host(name: str | None) -> TypeGuard[str]:
    """Whether the name is a valid host name or IP address (IPv6 without brackets). Makes no DNS query."""
    if not name:
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return len(name) <= _MAX_NAME and _NAME.fullmatch(name) is not None
    return True
