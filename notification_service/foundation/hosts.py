"""What can be the host of a URL: a name or an address. One that is missing or misspelt is told before it is used."""

import ipaddress
import re
from typing import TypeGuard

_NAME = re.compile(r"[\w-]+(\.[\w-]+)*\.?")
"""Underscores too: containers have them in their names. What is no ASCII is a resolver's to encode."""


def is_host(name: str | None) -> TypeGuard[str]:
    """Whether it may be one; an IPv6 address stands without its brackets. Nobody is asked."""
    if not name:
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return _NAME.fullmatch(name) is not None
    return True
