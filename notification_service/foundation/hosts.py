"""Checks the host of a URL, so that a missing or misspelt one is reported before it is used."""

import ipaddress
import re
from typing import TypeGuard

_NAME = re.compile(r"[\w-]+(\.[\w-]+)*\.?")
"""Underscores are allowed: container names have them. The resolver encodes names that are not ASCII."""


def is_host(name: str | None) -> TypeGuard[str]:
    """Whether the name is a valid host name or IP address (IPv6 without brackets). Makes no DNS query."""
    if not name:
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return _NAME.fullmatch(name) is not None
    return True
