"""The name in our EHLO (RFC 5321 §4.1.1.1): a fully qualified host name, or an address literal."""

import ipaddress
import re
import socket

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_LITERAL = re.compile(r"\[(IPv6:)?([0-9A-Fa-f:.]+)\]")
_MAX_NAME_LENGTH = 253
_LOOPBACK = "[127.0.0.1]"


def is_qualified(name: str) -> bool:
    """Whether it is a host name of several labels, which others can look up."""
    return _is_name(name) and "." in name.rstrip(".") and not name.lower().endswith((".local", ".localdomain"))


def check_name(name: str) -> str:
    """Returns the name. Raises `ValueError` where EHLO does not allow it."""
    if not (_is_name(name) or _is_literal(name)):
        raise ValueError("this is neither a host name, such as mail.cinema.example, nor an address such as [192.0.2.1]")
    return name


def own_name() -> str:
    """Returns this machine's qualified name, else its address literal (RFC 5321 §4.1.4)."""
    name = socket.gethostname()
    return name if is_qualified(name) else _own_address(name)


def _own_address(name: str) -> str:
    """The address literal of a host name (RFC 5321 §4.1.3)."""
    try:
        return f"[{socket.gethostbyname(name)}]"
    except OSError:
        return _LOOPBACK


def _is_name(name: str) -> bool:
    """Whether it is a host name. One whose last label has digits alone is an address (RFC 3696 §2)."""
    last = name.rstrip(".").rpartition(".")[2]
    return len(name) <= _MAX_NAME_LENGTH and _NAME.fullmatch(name) is not None and not last.isdigit()


def _is_literal(name: str) -> bool:
    found = _LITERAL.fullmatch(name)
    if not found:
        return False
    try:
        return ipaddress.ip_address(found[2]).version == (6 if found[1] else 4)
    except ValueError:
        return False
