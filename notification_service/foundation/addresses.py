"""Mail addresses: parsing, comparing and masking them. Pure."""

import re
import unicodedata
from urllib.parse import unquote

import idna
from email_validator import EmailNotValidError, validate_email

from notification_service.foundation.html_entities import unescaped

_LOCAL, _LETTER = r"[^\s<>\"(),:;@]", r"[^\s<>\"'(),:;=@"
# Each part can match in one way only, so that matching a producer's text takes linear time.
_IN_TEXT = re.compile(rf"(?:\"[^\"\n]{{1,64}}\"|(?<!{_LOCAL}){_LOCAL}+)@\.*{_LETTER}.]+(?:\.+{_LETTER}.]+)+")

_BETWEEN = r"[ .()/\-\u00a0\u2000-\u2015\u202f\u2060\u2212]"
"""What may separate the digits of a phone number."""
_ALONE = r"(?<![\w+.:/\-].)"
"""Behind a number's first character, which is what is searched for: nothing before it to which it belongs."""
_WITH_PLUS = re.compile(rf"[+\uff0b](?<![\w+].)(?:\d{{8,15}}|(?!0)\d(?:{_BETWEEN}{{0,3}}\d){{6,14}})(?!\d)(?!\.?\w*@)")
_NATIONAL = re.compile(
    rf"[0\uff10]{_ALONE}(?:[0\uff10](?!0)\d(?:{_BETWEEN}{{0,3}}\d){{7,13}}"
    # A national number is told from an id by its separators, and from a date by their places.
    rf"|(?!\d[./-]\d\d[./-]\d)\d{{1,4}}(?:{_BETWEEN}{{1,3}}\d{{2,9}}){{1,5}})(?![\w@])"
)
_NORTH_AMERICAN = re.compile(rf"[2-9]{_ALONE}\d\d\)?[ .\u2011-]{{1,2}}\d{{3}}[ .\u2011-]\d{{4}}(?![\w@])")
_MIN_NUMBER_LENGTH = 8
_MIN_DIGITS = 8
_MIN_NORTH_AMERICAN_LENGTH = 12
_TOKEN_IN_TEXT = re.compile(r"(?<![\w:-])(?:[0-9a-fA-F]{64,200}|(?=[\w:-]*\d)[A-Za-z0-9_:-]{100,4096})(?![\w:-])")
"""A device's token, of APNs or FCM."""
_MIN_TOKEN_LENGTH = 64
_PERSONAL_FIELD = re.compile(
    r"phone|mobile|msisdn|(?:device|registration|push|fcm|apns).?token|^(?:token|tel|cell|sms)$", re.IGNORECASE
)

_AROUND = "\u200b\u200e\u200f\u2060\ufeff\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Invisible characters that are copied along with an address."""

_BLANKS = re.compile("[\t\u00a0\u2000-\u200a\u202f\u205f\u3000]")
"""Blanks that are not line breaks."""

_IN_BRACKETS = re.compile(r"([^<>]*)<([^<>]*)>")
_QUOTED_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
_MAILTO = re.compile(r"(?:mailto|smtp):([^?]*)(?:\?(.*))?", re.IGNORECASE)
"""A `mailto:` URI, and how Exchange writes an address among others."""
_IN_QUOTES = re.compile(r"\"(.+)\"|'(.+)'|`(.+)`|\u201c(.+)\u201d")
_COMMENT = re.compile(r" *\([^()@]*\)$")
"""At the end of an address, as old mail programs write a name (RFC 5322 §3.4)."""
_FULL_WIDTH_AT = "\uff20"
_FURTHER_RECIPIENTS = re.compile(r"(?:^|&)(?:to|cc|bcc)=", re.IGNORECASE)
_DOTTED = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+")
_MISPLACED_DOT = re.compile(r"^\.|\.\.|\.$")
_MAX_QUOTED_LENGTH = 62
"""Characters; with its quotes a local part has at most 64 (RFC 5321 §4.5.3.1.1)."""


class NotAnAddressError(ValueError):
    """The text is not a deliverable mail address; the message says why without repeating it."""


def read_mailbox(text: str) -> str:
    """The normalised address of the one mailbox in a text, as `parse_address` returns it.

    The text is a bare address, a name with the address in angle brackets (RFC 5322 §3.4), or a `mailto:` URI (RFC
    6068). Raises `NotAnAddressError`, also where the text may mean several addresses.
    """
    return parse_address(_mailbox(text.strip().strip(_AROUND).strip()))


def parse_address(text: str) -> str:
    """The normalised form of one bare address (RFC 5321, RFC 6531), its domain lower-cased.

    The local part has no quotes, even where SMTP needs them (`wire_local`). Only the syntax is checked, without DNS.
    Raises `NotAnAddressError`.
    """
    address = text.strip()
    if "=?" in address:
        # RFC 5321 allows the characters, but a parser that decodes the encoded word (RFC 2047) may find a header in it.
        raise NotAnAddressError("it contains an encoded word (=?…), which no mail address has")
    local, at, domain = address.rpartition("@")
    local = _without_quotes(local)
    dotted = bool(_MISPLACED_DOT.search(local))
    if dotted:
        _check_dotted(local)
    plain = re.sub(r"\.{2,}", ".", local).strip(".") if dotted else local
    try:
        # Reserved domains (.example, .test) are accepted: only the syntax decides.
        valid = validate_email(f"{plain}{at}{domain}", check_deliverability=False, test_environment=True)
    except EmailNotValidError as problem:
        raise NotAnAddressError(mask_in(str(problem))) from None
    return f"{local}@{valid.domain}" if dotted else valid.normalized


def _mailbox(text: str) -> str:
    """The bare address, without a name, brackets, quotes or `mailto:` around it."""
    # A bare address has no semicolon, so `o&#39;brien@` was escaped for HTML before it was stored.
    text = unescaped(text).replace(_FULL_WIDTH_AT, "@")
    text = _BLANKS.sub(" ", text)
    if text.isprintable():
        text = _COMMENT.sub("", _once(text))
        text = _in_brackets(text)
        if mailto := _MAILTO.fullmatch(text):
            if _FURTHER_RECIPIENTS.search(mailto[2] or ""):
                raise NotAnAddressError("its mailto: names further recipients")
            text = unquote(mailto[1])
        elif quoted := _IN_QUOTES.fullmatch(text):
            text = next(filter(None, quoted.groups()))
        # A trailing separator (a list with one entry), and the dot at the end of a fully qualified domain.
        text = re.sub(r"[,;]$", "", text).rstrip()
        text = re.sub(r"(?<=[^.@])\.$", "", text)
    return text


def _once(text: str) -> str:
    """The address in a list that only repeats it; any other text as it is. Raises where it lists several."""
    listed = re.split(r"[,; ]+", text.strip(",; "))
    if len(listed) > 1 and len(set(map(key, listed))) == 1:
        return listed[0]
    bare = _QUOTED_TEXT.sub("", text)
    if bare.count("@") > 1 and re.search(r"[,;]", bare) and not _IN_BRACKETS.fullmatch(text):
        raise NotAnAddressError("it lists several addresses, and a mail goes to one: correct it and replay the event")
    return text


def _in_brackets(text: str) -> str:
    found = _IN_BRACKETS.fullmatch(text)
    if found is None:
        return text
    name, address = found[1].strip(), found[2].strip()
    if re.search(r"[:;]", _QUOTED_TEXT.sub("", name)):
        raise NotAnAddressError("a group or a list of addresses is not one address")
    # Mail programs use the address as the name where they have none. A different address would be a second mailbox.
    if "@" in name and name.strip("\"'").casefold() != address.casefold():
        raise NotAnAddressError("the name before the angle brackets contains another address")
    return address


def _without_quotes(local: str) -> str:
    """The local part without quotes, where nothing but its dots may need them (RFC 5321 §4.1.2)."""
    inner = local[1:-1]
    return inner if local == f'"{inner}"' and _DOTTED.fullmatch(inner) else local


def _check_dotted(local: str) -> None:
    """Leading, trailing and double dots, which some Japanese carriers issued, are valid only in quotes. Raises."""
    if not _DOTTED.fullmatch(local) or len(local) > _MAX_QUOTED_LENGTH:
        raise NotAnAddressError("the part before the @ sign has misplaced dots, and cannot be put in quotes")


def wire_local(local: str) -> str:
    """The local part for SMTP commands and headers: in quotes unless it is a dot-atom (RFC 5321 §4.1.2)."""
    return f'"{local}"' if _MISPLACED_DOT.search(local) else local


def key(address: str) -> str:
    """A key for comparing: equal for any letter case, and for both spellings of the domain (RFC 5890)."""
    local, at, domain = unicodedata.normalize("NFC", address).rpartition("@")
    try:
        ascii_domain = domain if domain.isascii() else idna.encode(domain, uts46=True).decode("ascii")
    except UnicodeError:
        ascii_domain = domain
    return f"{local.casefold()}{at}{ascii_domain.lower()}"


def domain_spellings(address: str) -> tuple[str, ...]:
    """The domain as given, in ASCII, and in Unicode (RFC 5890)."""
    given, ascii_domain = address.rpartition("@")[2], key(address).rpartition("@")[2]
    try:
        return given, ascii_domain, idna.decode(ascii_domain)
    except UnicodeError:
        return given, ascii_domain


_IN_CODE = re.compile(
    r"""([^\s<>"'=:/?&;,@()])[^\s<>"'=:/?&;,@()]{0,63}"""
    r"((?:%(?:25)?40|\\u0040|&#(?:64|x40);|&commat;|\uff20)[\w-]{1,63}(?:\.[\w-]{1,63}){0,4}\.[a-z]{2,})",
    re.IGNORECASE,
)
"""An address whose @ is percent-encoded, or escaped for JSON or HTML."""


def mask(address: str) -> str:
    """`jane.smith@example.com` → `j***@example.com`; of a phone number or a token, the first three and last two."""
    local, at, domain = address.rpartition("@")
    if not at:
        return f"{address[:3]}***{address[-2:]}" if len(address) >= _MIN_NUMBER_LENGTH else "***"
    return f"{local[:1]}***{at}{domain}"


def _masked_number(found: re.Match[str]) -> str:
    text = found.group()
    return mask(text) if sum(each.isdecimal() for each in text) >= _MIN_DIGITS else text


def holds_number_or_token(field: str) -> bool:
    """Whether a field of this name holds a phone number or a device's token, whatever its value looks like."""
    return _PERSONAL_FIELD.search(field) is not None


def mask_in(text: str) -> str:
    """The text with every address, phone number and device token in it masked.

    A national number without separators looks like an id, and stands: the name of its field tells it
    (`holds_number_or_token`).
    """
    ascii_only = text.isascii()
    if not ascii_only or "+" in text:
        text = _WITH_PLUS.sub(_masked_number, text)
    if not ascii_only or "0" in text:
        text = _NATIONAL.sub(_masked_number, text)
    if len(text) >= _MIN_NORTH_AMERICAN_LENGTH and (not ascii_only or "-" in text or " " in text):
        text = _NORTH_AMERICAN.sub(_masked_number, text)
    if len(text) >= _MIN_TOKEN_LENGTH and any(len(word) >= _MIN_TOKEN_LENGTH for word in text.split()):
        text = _TOKEN_IN_TEXT.sub(lambda found: mask(found.group()), text)
    if "40" in text or "&" in text or "\uff20" in text:
        text = _IN_CODE.sub(r"\1***\2", text)
    return _IN_TEXT.sub(lambda found: mask(found.group()), text) if "@" in text else text
