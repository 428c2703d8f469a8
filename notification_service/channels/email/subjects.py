"""Subjects, as short as phones show them."""

import re
from collections.abc import Mapping
from typing import Any

from jinja2 import Template

from notification_service.content.formatting import cut
from notification_service.contract.events import Event

_MAX_SUBJECT_LENGTH = 60
"""Characters; phones show no more."""
_MIN_TITLE_LENGTH = 9
_DIRECTION_MARKS = re.compile("[\u061c\u200e\u200f\u202a-\u202e]")
"""Header values are cleaned of these (`mime.clean`). The isolates around a title stay: each is closed."""


def subject(template: Template, event: Event, context: Mapping[str, Any]) -> str:
    """The subject, with a shortened title where it would be longer than phones show."""
    title = event.__dict__.get("movie_title") or ""
    whole = one_line(template.render({**context, "event": event}))
    if len(whole) > _MAX_SUBJECT_LENGTH and title:
        shorter = cut(title, max(_MIN_TITLE_LENGTH, len(title) - (len(whole) - _MAX_SUBJECT_LENGTH)))
        whole = one_line(template.render({**context, "event": event.model_copy(update={"movie_title": shorter})}))
    return whole


def one_line(text: str) -> str:
    # Plain spaces instead of no-break ones: a subject of ASCII needs no encoded words (RFC 2047).
    return " ".join(_DIRECTION_MARKS.sub("", text).split())
