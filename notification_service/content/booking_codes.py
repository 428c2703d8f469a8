"""Writes a booking code so that it can be read out at a counter."""

import re

_UUID = re.compile(r"(?:urn:uuid:)?\{?[0-9a-f]{8}(?:-?[0-9a-f]{4}){3}-?[0-9a-f]{12}\}?|[0-9a-f]{24}", re.IGNORECASE)
_READ_OUT = 8
_GROUP = 4
_ISOLATES = "\u2068\u2069"
_NO_BREAK = "\u00a0"


def grouped(code: str | None) -> str | None:
    """Returns the last eight digits of a UUID or an ObjectId in groups of four; any other code as it is."""
    if code is None or not _UUID.fullmatch(code.strip(_ISOLATES)):
        return code
    digits = re.sub(r"[^0-9A-F]", "", code.upper())[-_READ_OUT:]
    shown = _NO_BREAK.join(digits[at : at + _GROUP] for at in range(0, _READ_OUT, _GROUP))
    return f"{_ISOLATES[0]}{shown}{_ISOLATES[1]}" if code.startswith(_ISOLATES[0]) else shown
