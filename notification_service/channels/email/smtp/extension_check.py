"""Tries the extensions of a server without a mail, for `doctor`: a filter on the way may not know what it offers."""

from notification_service.channels.email.smtp.extensions import Extension, Extensions
from notification_service.channels.email.smtp.pool import BROKEN
from notification_service.channels.email.smtp.session import ACCEPTED, Session
from notification_service.channels.email.smtp.wire import within

_UNKNOWN = frozenset({500, 502, 504})


async def describe(extensions: Extensions, session: Session, seconds: float) -> str:
    """Returns in words what the server offers, what of it works, and what follows. The session is not used again.

    `seconds`: for each reply.
    """
    way = extensions.way(session.offered)
    failing = [
        extension
        for extension, used, works in (
            (Extension.PIPELINING, way.pipelining, _answers_a_group),
            (Extension.CHUNKING, way.chunking, _knows_bdat),
        )
        if used and not await works(session, seconds)
    ]
    told = extensions.describe(session.offered)
    if not failing:
        return told
    names = " and ".join(each.upper() for each in failing)
    setting = "none" if Extension.PIPELINING in failing else "pipelining"
    return f"{told}, but on the way to it {names} failed: set SMTP_EXTENSIONS={setting}"


async def _answers_a_group(session: Session, seconds: float) -> bool:
    """RFC 2920 §3.1: RSET may stand in a group, and NOOP at its end."""
    try:
        replies = [await within(seconds, each) for each in session.wire.ask(b"RSET\r\nNOOP\r\n", 2)]
    except BROKEN:
        return False
    return all(reply.code == ACCEPTED for reply in replies)


async def _knows_bdat(session: Session, seconds: float) -> bool:
    """RFC 3030 §2: an empty chunk without a recipient is refused as out of order, and reads no content."""
    try:
        reply = await within(seconds, *session.wire.ask(b"BDAT 0 LAST\r\n"))
    except BROKEN:
        return False
    return reply.code not in _UNKNOWN
