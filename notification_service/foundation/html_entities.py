"""Decodes HTML entities in plain texts: some booking systems escape texts before they store them. Pure."""

import html
import re

_ENTITY = re.compile(r"&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,31});", re.IGNORECASE)


def unescaped(text: str) -> str:
    """The text with its HTML entities decoded once.

    An entity needs its semicolon: "Fast &notorious" stays as it is.
    """
    return _ENTITY.sub(lambda entity: html.unescape(entity[0]), text) if "&" in text else text
