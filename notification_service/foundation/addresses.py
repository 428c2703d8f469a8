"""Mail addresses: what is one, how it is compared, and how one is shown where it must not be readable."""

import re
import unicodedata
from urllib.parse import unquote

import idna
from email_validator import EmailNotValidError, validate_email

from notification_service.foundation.html_entities import unescaped

_LOCAL, _LETTER = r"[^\s<>\"(),:;@]", r"[^\s<>\"'(),:;=@"
# Each part can be matched in one way only, so that a text that an event chose costs no more than its length.
_IN_TEXT = re.compile(rf"(?:\"[^\"\n]{{1,64}}\"|(?<!{_LOCAL}){_LOCAL}+)@\.*{_LETTER}.]+(?:\.+{_LETTER}.]+)+")

_AROUND = "\u200b\u200e\u200f\u2060\ufeff\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Invisible, and copied along from where an address stood."""

_BLANKS = re.compile("[\t\u00a0\u2000-\u200a\u202f\u205f\u3000]")
"""Blanks that end no line."""

_IN_BRACKETS = re.compile(r"([^<>]*)<([^<>]*)>")
_QUOTED_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
_MAILTO = re.compile(r"mailto:([^?]*)(?:\?(.*))?", re.IGNORECASE)
_FURTHER_RECIPIENTS = re.compile(r"(?:^|&)(?:to|cc|bcc)=", re.IGNORECASE)
_DOTTED = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+")
_MISPLACED_DOT = re.compile(r"^\.|\.\.|\.$")
_MAX_QUOTED_LENGTH = 62
"""Characters; with its quotes a local part has at most 64 (RFC 5321 §4.5.3.1.1)."""


class NotAnAddressError(ValueError):
    """The text is no deliverable mail address; the message says why without repeating it."""


def read_mailbox(text: str) -> str:
    """The normalised address of the one mailbox that a text names, as `parse_address` writes it.

    It may stand bare, in angle brackets behind a name, which is dropped (RFC 5322 §3.4), or in a `mailto:` (RFC 6068).
    A text that can be read as several addresses is none. Raises `NotAnAddressError`.
    """
    return parse_address(_mailbox(text.strip().strip(_AROUND).strip()))


def parse_address(text: str) -> str:
    """The normalised form of one bare address (RFC 5321, RFC 6531), its domain lower-cased.

    A local part is never in quotes here, also where the wire needs them (`wire_local`). Only the syntax is checked;
    no DNS is asked. Raises `NotAnAddressError`.
    """
    address = text.strip()
    if "=?" in address:
        # RFC 5321 allows its letters, but a reader that decodes the encoded word (RFC 2047) finds another header in it.
        raise NotAnAddressError("it holds an encoded word, which no mail address has")
    local, at, domain = address.rpartition("@")
    local = _without_quotes(local)
    dotted = bool(_MISPLACED_DOT.search(local))
    if dotted:
        _check_dotted(local)
    plain = re.sub(r"\.{2,}", ".", local).strip(".") if dotted else local
    try:
        # The reserved names (.example, .test) are addresses like any other to us: the syntax decides.
        valid = validate_email(f"{plain}{at}{domain}", check_deliverability=False, test_environment=True)
    except EmailNotValidError as problem:
        raise NotAnAddressError(mask_in(str(problem))) from None
    return f"{local}@{valid.domain}" if dotted else valid.normalized


def _mailbox(text: str) -> str:
    """The address itself, without what one mailbox may have around it."""
    # No bare address holds a semicolon: `o&#39;brien@` is one that a shop escaped before it stored it.
    text = unescaped(text)
    text = _BLANKS.sub(" ", text)
    if text.isprintable():
        text = _in_brackets(text)
        if mailto := _MAILTO.fullmatch(text):
            if _FURTHER_RECIPIENTS.search(mailto[2] or ""):
                raise NotAnAddressError("its mailto: names further recipients")
            text = unquote(mailto[1])
        elif len(text) > 1 and text[0] == text[-1] == '"':
            text = text[1:-1]
        # A list of one, and a domain that is written from its root.
        text = re.sub(r"[,;]$", "", text).rstrip()
        text = re.sub(r"(?<=[^.@])\.$", "", text)
    return text


def _in_brackets(text: str) -> str:
    found = _IN_BRACKETS.fullmatch(text)
    if found is None:
        return text
    name, address = found[1].strip(), found[2].strip()
    if re.search(r"[:;]", _QUOTED_TEXT.sub("", name)):
        raise NotAnAddressError("a group or a list of addresses is not one address")
    # Mail programs write the address as the name where they know none; another one is a second address.
    if "@" in name and name.strip("\"'").casefold() != address.casefold():
        raise NotAnAddressError("the name before the angle brackets holds another address")
    return address


def _without_quotes(local: str) -> str:
    """What needs no quotes but for its dots is the same mailbox without them (RFC 5321 §4.1.2)."""
    inner = local[1:-1]
    return inner if local == f'"{inner}"' and _DOTTED.fullmatch(inner) else local


def _check_dotted(local: str) -> None:
    """Dots at the ends and next to each other, as some Japanese carriers gave them out; only quotes carry them."""
    if not _DOTTED.fullmatch(local) or len(local) > _MAX_QUOTED_LENGTH:
        raise NotAnAddressError("the part before the @-sign has dots where none may be, and cannot be quoted")


def wire_local(local: str) -> str:
    """The local part as commands and headers carry it: in quotes where it is no dot-atom (RFC 5321 §4.1.2)."""
    return f'"{local}"' if _MISPLACED_DOT.search(local) else local


def key(address: str) -> str:
    """By which an address is the same in any case of letters, and its domain in both its spellings (RFC 5890)."""
    local, at, domain = unicodedata.normalize("NFC", address).rpartition("@")
    try:
        ascii_domain = domain if domain.isascii() else idna.encode(domain, uts46=True).decode("ascii")
    except UnicodeError:
        ascii_domain = domain
    return f"{local.casefold()}{at}{ascii_domain.lower()}"


def domain_spellings(address: str) -> tuple[str, ...]:
    """Its domain as it is given, and in both its spellings (RFC 5890)."""
    given, ascii_domain = address.rpartition("@")[2], key(address).rpartition("@")[2]
    try:
        return given, ascii_domain, idna.decode(ascii_domain)
    except UnicodeError:
        return given, ascii_domain


def mask(address: str) -> str:
    """`jane.smith@example.com` → `j***@example.com`."""
    local, at, domain = address.rpartition("@")
    return f"{local[:1]}***{at}{domain}"


def mask_in(text: str) -> str:
    """The text with every address in it masked."""
    return _IN_TEXT.sub(lambda found: mask(found.group()), text) if "@" in text else text
