"""The names of seats as producers write them: lists, texts, objects with a row and a number."""

import json
import re
from collections.abc import Callable, Iterable, Mapping

_BETWEEN = re.compile(r"\s*[,;|\n\u060c\u3001\uff0c\uff1b]\s*")
_WORD = re.compile(r"[^\W\d_]{3,}")
_IN_BRACKETS = re.compile(r"[\[{(].*[\]})]", re.DOTALL)
_QUOTES = "\"'"
_ROWS = {"row", "rownumber", "rowlabel", "rowname", "rowletter", "rowcode", "rowno", "rownum", "seatrow", "rowid"}
_NUMBERS = {"number", "seatnumber", "seat", "seatno", "seatnum", "column", "col", "no", "num", "nr"}
_LABELS = (
    *("seat", "seatnumber", "seatno", "seatnum", "label", "seatlabel", "name", "seatname", "code", "seatcode"),
    *("number", "id", "seatid"),
)
_LISTS = {"seats", "seatnumbers", "seatlabels", "seatnames", "seatlist", "numbers", "labels", "names", "items"}
_AREAS = ("section", "block", "area", "zone", "level", "floor")
_KINDS = ("type", "tickettype", "category")
_MANY = ("quantity", "qty", "count")
_ROW_NAME = re.compile(r"[A-Z]{1,3}")
_DIGIT = re.compile(r"\d")
_PLAIN = re.compile(r"[A-Za-z]{1,3}-?\d{1,4}")
_SINGLE = re.compile(r"\D*\d*\D*|R\d+-S\d+")
"""With one number at most."""

_ONE_OF_SEVERAL = re.compile(rf"{_SINGLE.pattern}|\d+-\d+")
"""In a list, 5-12 is a row and a seat; alone it may be eight of them."""

_SEVERAL = re.compile(r"(.*\W)?[x\u00d7] ?\d+|\d+ ?[x\u00d7]\b.*|\d+ [^\W\d_]{3,}.*", re.IGNORECASE)
"""`GA x 2`, `2 tickets`: how many, and no name."""

_MAX_ROW_LENGTH = 3
"""Characters. A longer one is a word, such as `Balcony`."""

_MAX_ID_LENGTH = 8
"""A longer one is a key of a database, and nothing that stands on a seat."""

_Known = Callable[[object], str | None]


def read(value: object, known: _Known) -> tuple[tuple[str, ...], bool]:
    """The seats, each once, in their order, and whether any of them could not be read.

    `known`: how a text or a number alone reads, None where it is blank. It raises `ValueError` for anything else.
    """
    found: list[str] = []
    unread = False
    for seat in _each(value):
        if type(seat) is str and _PLAIN.fullmatch(seat):
            found.append(seat)
            continue
        try:
            found += [name for part in _parted(seat) for name in _split(known(part))]
        except ValueError:
            unread = True
    return tuple(found) if len(set(found)) == len(found) else _each_once(found), unread


def _each_once(seats: list[str]) -> tuple[str, ...]:
    """Two of `General Admission` are two tickets; a seat with a number is there once."""
    first = {seat: at for at, seat in reversed(list(enumerate(seats)))}
    return tuple(seat for at, seat in enumerate(seats) if first[seat] == at or not _DIGIT.search(seat))


def count(seats: tuple[str, ...]) -> int | None:
    """How many tickets they are; None where one of them may be several, such as `B5 and B6`, `2` or a word alone."""
    alone = len(seats) == 1
    if not all(map((_SINGLE if alone else _ONE_OF_SEVERAL).fullmatch, seats)) or any(map(_SEVERAL.fullmatch, seats)):
        return None
    # A number alone may be how many they are.
    return None if alone and (seats[0].isdecimal() or not _DIGIT.search(seats[0])) else len(seats) or None


def _each(value: object) -> Iterable[object]:
    match value:
        case str():
            return _of_text(value)
        case int() | float() if not value and not isinstance(value, bool):
            return ()
        case list():
            return value
        case dict() if value and all(key.isdecimal() for key in value):  # PHP's way to write a list
            return value.values()
    return (value,)


def _parted(seat: object) -> Iterable[object]:
    """The names in one entry of a list: one, or several within it."""
    match seat:
        case [str() as row, int() | str() as number] if row.isalpha() and _is_number(number):
            return (f"{row}{number}",)
        case list():
            return map(_named, seat)
        case dict():
            return _of_list(seat) or _of_rows(seat) or (_of_parts(seat),)
    return (seat,)


def _named(seat: object) -> object:
    return _of_parts(seat) if isinstance(seat, dict) else seat


def _is_number(value: object) -> bool:
    return str(value).isdecimal() if isinstance(value, int | str) and not isinstance(value, bool) else False


def _of_rows(parts: Mapping[str, object]) -> Iterable[object]:
    """`{"A": [1, 2]}`: what stands in each row."""
    if not all(map(_ROW_NAME.fullmatch, parts)):
        return ()
    return [_in_its_row(row, each) for row, seats in parts.items() for each in _numbers(seats)]


def _of_list(parts: Mapping[str, object]) -> Iterable[object]:
    """`{"row": "A", "seats": [1, 2]}`: a list with what all of it lies in."""
    plain = _plain_names(parts)
    lists = [name for name in _LISTS if isinstance(plain.get(name), list | str)]
    if len(lists) != 1:
        return ()
    row, area = _row(plain), _area(plain)
    inner = plain[lists[0]]
    if row is not None:
        return [area + _in_its_row(row, each) for each in _numbers(inner)]
    seats = [name for each in _each(inner) for name in _split(_text_of(_named(each)))]
    return [area + seat for seat in seats]


def _numbers(seats: object) -> Iterable[str]:
    """What a row holds. Raises `ValueError` where one of it is no text or number."""
    return [name for each in _each(seats) for name in _split(_text_of(_named(each)))]


def _text_of(seat: object) -> str:
    if not _is_name(seat):
        raise ValueError("it names no seat")
    return str(seat).strip()


def _of_text(text: str) -> Iterable[object]:
    """A list that was written as a text, as JSON, Python or a database writes it; else a text of names."""
    text = text.strip()
    if not _IN_BRACKETS.fullmatch(text):
        return (text,)
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        return [part.strip(_QUOTES) for part in _BETWEEN.split(text[1:-1].strip())]
    return read if isinstance(read, list) else (read,)


def _split(text: str | None) -> Iterable[str]:
    """`B5, B6`; but `Row B, Seat 5` is one seat, and so is a word without a number."""
    if text is None:
        return ()
    parts = [part for part in _BETWEEN.split(text.strip()) if part]
    words = {tuple(map(str.casefold, _WORD.findall(part))) for part in parts}
    return parts if len(words) == 1 and all(map(_DIGIT.search, parts)) else (text,)


def _plain_names(parts: Mapping[str, object]) -> Mapping[str, object]:
    return {name.casefold().replace("_", "").replace("-", ""): value for name, value in parts.items()}


def _row(plain: Mapping[str, object]) -> str | None:
    """The name of the row, whatever else is said of it: `row`, `rowLetter`, `seat_row`."""
    named = [name for name, value in plain.items() if name in _ROWS and _is_name(value)]
    return next((row for name in named if not _is_key(name, row := str(plain[name]).strip())), None)


def _area(plain: Mapping[str, object]) -> str:
    return next((f"{plain[name]} " for name in _AREAS if _is_name(plain.get(name))), "")


def _of_parts(parts: Mapping[str, object]) -> object:
    """Raises `ValueError` where nothing in it is the name of a seat for certain."""
    plain = _plain_names(parts)
    area, row = _area(plain), _row(plain)
    number = next((value for name, value in plain.items() if name in _NUMBERS), None)
    if row is not None and _is_name(number):
        return area + _in_its_row(row, str(number).strip())
    if isinstance(number, dict) and not any(isinstance(value, dict) for value in number.values()):
        return area + str(_of_parts(number))
    many = next((plain[name] for name in _MANY if _is_number(plain.get(name))), 1)
    for label in (*_LABELS, *(_KINDS if str(many) != "1" else ())):
        name = plain.get(label)
        if _is_name(name) and not _is_key(label, str(name)):
            seat = str(name).strip() if row is None else _labelled(row, str(name).strip())
            return area + (seat if str(many) == "1" else f"{seat} \u00d7 {many}")
    raise ValueError("it names no seat")


def _is_key(field: str, value: str) -> bool:
    """Whether it is no name but a key of a database."""
    return field.endswith("id") and len(value) > _MAX_ID_LENGTH


def _labelled(row: str, label: str) -> str:
    """`A5`, and whatever else says its row already."""
    return label if row.isdecimal() and not label.isdecimal() else _in_its_row(row, label)


def _is_name(value: object) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool) and bool(str(value).strip())


def _in_its_row(row: str, number: str) -> str:
    if row.isdecimal():
        return f"R{row}-S{number}"
    if number.casefold().startswith(row.casefold()):
        return number
    return f"{row}{number}" if len(row) <= _MAX_ROW_LENGTH else f"{row} {number}"
