"""Reads how long a mail server asks us to wait: "try again in 5 minutes", in eight languages or so."""

import re

_AMOUNTS = {
    **dict.fromkeys(("a", "an", "one", "eine", "einer", "une", "un", "una"), 1.0),
    "half an": 0.5,
    "two": 2.0,
    "three": 3.0,
    "four": 4.0,
    "five": 5.0,
    "ten": 10.0,
    "fifteen": 15.0,
    "thirty": 30.0,
    "twelve": 12.0,
    "twenty": 20.0,
    "sixty": 60.0,
}
_UNITS = {
    **dict.fromkeys(("stunde", "h", "o", "u", "godz"), 3600),
    **dict.fromkeys(("d", "t", "j", "g"), 86400),
    "s": 1,
    "m": 60,
    "w": 604800,
}
"""Seconds by the beginning of the unit's name. A German hour begins like a second, a Polish one like an Italian day."""
_UNIT = (
    r"(?:seconds?|secs?|sekunden?|secondes?|segundos?|s|minutes?|mins?|minuten?|minutos?|minut[aioye]?|m|"
    r"hours?|hrs?|stunden?|heures?|horas?|or[ae]|uur|uren|godzin\w?|h|"
    r"days?|tagen?|tage?|jours?|giorn[oi]|d.as?|dag(?:en)?|dni|d|weeks?)(?![a-z])"
)
_AMOUNT = rf"(?:\d{{1,7}}(?:[.,]\d{{1,2}})?|\b(?:{'|'.join(sorted(_AMOUNTS, key=len, reverse=True))})(?=[ -]))"
_SPAN = rf"{_AMOUNT}\s?-?{_UNIT}(?:,? ?(?:and |und |et )?\d{{1,5}}\s?{_UNIT}){{0,3}}(?! ago)"
_CLOCK = r"\d{1,3}:\d\d:\d\d"
_AGAIN = (
    r"\b(?:try|tries|trying|retry\w*|retries|again|back|wait|waiting|resend|re-?submit\w*|return|gr[ea]y-?list\w*|defer\w*|delay\w*|"
    r"block\w*|banned|suspended|limited|later|unavailable|versuch\w*|erneut|r.essay\w*|attend\w*|int.nt\w*|esper\w*|patient\w*|"
    r"riprov\w*|tent\w*|probeer|opnieuw|spr.buj|ponownie|resets?|renew\w*|expires?|remaining)\b"
)
_WAIT = re.compile(
    rf"{_AGAIN}(?P<between>.{{0,60}}?)(?<![\w.:-])(?P<wait>{_CLOCK}|{_SPAN})"
    rf"|(?<![\w.:-])(?P<before>{_CLOCK}|{_SPAN}) (?:before|until|till|later|remaining|left|erneut)\b",
    re.IGNORECASE,
)
_WINDOW = re.compile(
    r"\b(?:last|past|previous|prior|per|every|than|rate|limit|of|at|since|until)\W*$|\bmessages?\b", re.IGNORECASE
)
"""Text before a time span that is no wait: the window of a limit ("100 messages per hour"), or a time of day."""
_PART = re.compile(rf"({_AMOUNT})\s?-?({_UNIT})", re.IGNORECASE)
_MAX_WAIT_S = 3 * 86400.0
"""Well below the defaults of PARKING_DAYS and VERDICT_DAYS."""


def server_wait_s(text: str) -> float | None:
    """The seconds that a reply asks us to wait, at most three days; None where it names no time."""
    for found in _WAIT.finditer(" ".join(text.split())):
        if found["wait"] and _WINDOW.search(found["between"]):
            continue
        return min(_seconds(found["wait"] or found["before"]), _MAX_WAIT_S)
    return None


def _seconds(span: str) -> float:
    if ":" in span:
        hours, minutes, seconds = map(int, span.split(":"))
        return hours * 3600.0 + minutes * 60 + seconds
    return sum(_amount(amount) * _unit(unit.lower()) for amount, unit in _PART.findall(span))


def _amount(text: str) -> float:
    return float(text.replace(",", ".")) if text[0].isdigit() else _AMOUNTS[text.lower()]


def _unit(unit: str) -> int:
    return next(seconds for beginning, seconds in _UNITS.items() if unit.startswith(beginning))
