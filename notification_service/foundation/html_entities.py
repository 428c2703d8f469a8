"""Entities of HTML in texts that are none: shops escape what they store. Pure."""

import html
import re

_ENTITY = re.compile(r"&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,31});", re.IGNORECASE)


def unescaped(text: str) -> str:
    """The text with the character for each entity, once.

    With its semicolon only: "Fast &notorious" holds none.
    """
    return _ENTITY.sub(lambda entity: html.unescape(entity[0]), text) if "&" in text else text
