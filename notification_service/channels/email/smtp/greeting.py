"""The name that we greet a mail server with (RFC 5321 §4.1.1.1): a full name in DNS, or an address literal."""

import ipaddress
import re
import socket

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_LITERAL = re.compile(r"\[(IPv6:)?([0-9A-Fa-f:.]+)\]")
_MAX_NAME_LENGTH = 253
_NOBODY = "[127.0.0.1]"


def is_qualified(name: str) -> bool:
    """Whether others can look it up: a name of several labels, and no address literal."""
    return _is_name(name) and "." in name.rstrip(".") and not name.lower().endswith((".local", ".localdomain"))


def check_name(name: str) -> str:
    """Raises `ValueError` where EHLO would not take it."""
    if not (_is_name(name) or _is_literal(name)):
        raise ValueError("this is neither a host name, such as mail.cinema.example, nor an address such as [192.0.2.1]")
    return name


def own_name() -> str:
    """This machine's full name, else its address (RFC 5321 §4.1.4), as its own host file has them."""
    name = socket.gethostname()
    return name if is_qualified(name) else _own_address(name)


def _own_address(name: str) -> str:
    """In brackets (RFC 5321 §4.1.3)."""
    try:
        return f"[{socket.gethostbyname(name)}]"
    except OSError:
        return _NOBODY


def _is_name(name: str) -> bool:
    """A last label of digits is an address without its brackets (RFC 3696 §2)."""
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
