"""Reads seat names as producers write them: lists, texts, and objects with a row and a number. Pure."""

import json
import re
from collections.abc import Callable, Iterable, Mapping

_BETWEEN = re.compile(r"\s*[,;|\n\u060c\u3001\uff0c\uff1b]\s*")
_WORD = re.compile(r"[^\W\d_]{3,}")
_IN_BRACKETS = re.compile(r"[\[{(].*[\]})]", re.DOTALL)
_QUOTES = "\"'"
_ROW_KEYS = {"row", "rownumber", "rowlabel", "rowname", "rowletter", "rowcode", "rowno", "rownum", "seatrow", "rowid"}
_NUMBER_KEYS = {"number", "seatnumber", "seat", "seatno", "seatnum", "column", "col", "no", "num", "nr"}
_LABEL_KEYS = (
    *("seat", "seatnumber", "seatno", "seatnum", "label", "seatlabel", "name", "seatname", "code", "seatcode"),
    *("number", "id", "seatid"),
)
_LIST_KEYS = {"seats", "seatnumbers", "seatlabels", "seatnames", "seatlist", "numbers", "labels", "names", "items"}
_AREA_KEYS = ("section", "block", "area", "zone", "level", "floor")
_TYPE_KEYS = ("type", "tickettype", "category")
_QUANTITY_KEYS = ("quantity", "qty", "count")
_ROW_NAME = re.compile(r"[A-Z]{1,3}")
_DIGIT = re.compile(r"\d")
_PLAIN = re.compile(r"[A-Za-z]{1,3}-?\d{1,4}")
_SINGLE = re.compile(r"\D*\d*\D*|R\d+-S\d+")
"""A name with at most one number."""

_ONE_OF_SEVERAL = re.compile(rf"{_SINGLE.pattern}|\d+-\d+")
"""In a list, `5-12` is row 5, seat 12; on its own it may be the eight seats from 5 to 12."""

_SEVERAL = re.compile(r"(.*\W)?[x\u00d7] ?\d+|\d+ ?[x\u00d7]\b.*|\d+ [^\W\d_]{3,}.*", re.IGNORECASE)
"""`GA x 2`, `2 tickets`: a number of tickets, not a seat."""

_MAX_ROW_LENGTH = 3
"""Characters. A longer one is a word, such as `Balcony`."""

_MAX_ID_LENGTH = 8
"""Characters. A longer id is a database key, not a label on a seat."""

_Reader = Callable[[object], str | None]


def read(value: object, read_one: _Reader) -> tuple[tuple[str, ...], bool]:
    """The seats in their order, without repetitions, and whether any of them could not be read.

    `read_one`: reads a single text or number; None if it is blank. It raises `ValueError` for anything else.
    """
    found: list[str] = []
    unread = False
    for seat in _each(value):
        if type(seat) is str and _PLAIN.fullmatch(seat):
            found.append(seat)
            continue
        try:
            found += [name for part in _seats_in_entry(seat) for name in _split(read_one(part))]
        except ValueError:
            unread = True
    return tuple(found) if len(set(found)) == len(found) else _each_once(found), unread


def _each_once(seats: list[str]) -> tuple[str, ...]:
    """Without repeated seats. `General Admission` twice means two tickets, so names without a number may repeat."""
    first = {seat: at for at, seat in reversed(list(enumerate(seats)))}
    return tuple(seat for at, seat in enumerate(seats) if first[seat] == at or not _DIGIT.search(seat))


def count(seats: tuple[str, ...]) -> int | None:
    """The number of tickets; None if a name may mean several, such as `B5 and B6`, `2` or a word without a number."""
    alone = len(seats) == 1
    if not all(map((_SINGLE if alone else _ONE_OF_SEVERAL).fullmatch, seats)) or any(map(_SEVERAL.fullmatch, seats)):
        return None
    # A single number may be the number of tickets.
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


def _seats_in_entry(seat: object) -> Iterable[object]:
    """The seat names in one entry of a list: one or several."""
    match seat:
        case [str() as row, int() | str() as number] if row.isalpha() and _is_number(number):
            return (f"{row}{number}",)
        case list():
            return map(_seat_value, seat)
        case dict():
            return _of_list(seat) or _of_rows(seat) or (_of_parts(seat),)
    return (seat,)


def _seat_value(seat: object) -> object:
    return _of_parts(seat) if isinstance(seat, dict) else seat


def _is_number(value: object) -> bool:
    return str(value).isdecimal() if isinstance(value, int | str) and not isinstance(value, bool) else False


def _of_rows(parts: Mapping[str, object]) -> Iterable[object]:
    """`{"A": [1, 2]}`: the seats of each row."""
    if not all(map(_ROW_NAME.fullmatch, parts)):
        return ()
    return [_in_its_row(row, each) for row, seats in parts.items() for each in _numbers(seats)]


def _of_list(parts: Mapping[str, object]) -> Iterable[object]:
    """`{"row": "A", "seats": [1, 2]}`: several seats in one row or area."""
    plain = _plain_names(parts)
    lists = [name for name in _LIST_KEYS if isinstance(plain.get(name), list | str)]
    if len(lists) != 1:
        return ()
    row, area = _row(plain), _area(plain)
    inner = plain[lists[0]]
    if row is not None:
        return [area + _in_its_row(row, each) for each in _numbers(inner)]
    seats = [name for each in _each(inner) for name in _split(_text_of(_seat_value(each)))]
    return [area + seat for seat in seats]


def _numbers(seats: object) -> Iterable[str]:
    """The seats of a row. Raises `ValueError` if one is neither text nor number."""
    return [name for each in _each(seats) for name in _split(_text_of(_seat_value(each)))]


def _text_of(seat: object) -> str:
    if not _is_name(seat):
        raise ValueError("it does not name a seat")
    return str(seat).strip()


def _of_text(text: str) -> Iterable[object]:
    """The entries of a list written as text, as JSON, Python or a database prints it; otherwise the text itself."""
    text = text.strip()
    if not _IN_BRACKETS.fullmatch(text):
        return (text,)
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        return [part.strip(_QUOTES) for part in _BETWEEN.split(text[1:-1].strip())]
    return read if isinstance(read, list) else (read,)


def _split(text: str | None) -> Iterable[str]:
    """`B5, B6` are two seats; `Row B, Seat 5` is one, and so is a text with a part that has no number."""
    if text is None:
        return ()
    parts = [part for part in _BETWEEN.split(text.strip()) if part]
    words = {tuple(map(str.casefold, _WORD.findall(part))) for part in parts}
    # Commas alone are a list of seats without names.
    return parts if not parts or (len(words) == 1 and all(map(_DIGIT.search, parts))) else (text,)


def _plain_names(parts: Mapping[str, object]) -> Mapping[str, object]:
    return {name.casefold().replace("_", "").replace("-", ""): value for name, value in parts.items()}


def _row(plain: Mapping[str, object]) -> str | None:
    """The name of the row, under any of its usual keys: `row`, `rowLetter`, `seat_row`."""
    named = [name for name, value in plain.items() if name in _ROW_KEYS and _is_name(value)]
    return next((row for name in named if not _is_key(name, row := str(plain[name]).strip())), None)


def _area(plain: Mapping[str, object]) -> str:
    return next((f"{plain[name]} " for name in _AREA_KEYS if _is_name(plain.get(name))), "")


def _of_parts(parts: Mapping[str, object]) -> object:
    """The seat that an object describes. Raises `ValueError` if no field is certain to name a seat."""
    plain = _plain_names(parts)
    area, row = _area(plain), _row(plain)
    number = next((value for name, value in plain.items() if name in _NUMBER_KEYS), None)
    if row is not None and _is_name(number):
        return area + _in_its_row(row, str(number).strip())
    if isinstance(number, dict) and not any(isinstance(value, dict) for value in number.values()):
        return area + str(_of_parts(number))
    quantity = next((plain[name] for name in _QUANTITY_KEYS if _is_number(plain.get(name))), 1)
    for label in (*_LABEL_KEYS, *(_TYPE_KEYS if str(quantity) != "1" else ())):
        name = plain.get(label)
        if _is_name(name) and not _is_key(label, str(name)):
            seat = str(name).strip() if row is None else _labelled(row, str(name).strip())
            return area + (seat if str(quantity) == "1" else f"{seat} \u00d7 {quantity}")
    raise ValueError("it does not name a seat")


def _is_key(field: str, value: str) -> bool:
    """Whether the value is a database key rather than a seat name."""
    return field.endswith("id") and len(value) > _MAX_ID_LENGTH


def _labelled(row: str, label: str) -> str:
    """The row with the label, unless the label already contains the row, as in `A5`."""
    return label if row.isdecimal() and not label.isdecimal() else _in_its_row(row, label)


def _is_name(value: object) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool) and bool(str(value).strip())


def _in_its_row(row: str, number: str) -> str:
    if row.isdecimal():
        return f"R{row}-S{number}"
    if number.casefold().startswith(row.casefold()):
        return number
    return f"{row}{number}" if len(row) <= _MAX_ROW_LENGTH else f"{row} {number}"
