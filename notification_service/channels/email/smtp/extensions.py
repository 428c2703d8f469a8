"""Which SMTP extensions a server is spoken to with: those that it offers, until they turn out not to work.

RFC 2920 (PIPELINING): commands go out in groups. RFC 3030 (CHUNKING): BDAT hands the content over without DATA's own
round trip. Servers, and filters before them, offer both and then hang on them or do not know them.
"""

import re
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

import structlog

log = structlog.get_logger(__name__)

_MAX_FAILURES = 3
_GIVEN_UP_HINT = "mail goes on without it until the next start; SMTP_EXTENSIONS sets what is used from the start"


class Extension(StrEnum):
    PIPELINING = "pipelining"
    CHUNKING = "chunking"


UNKNOWN_COMMAND = frozenset({500, 502, 503})
"""Replies to commands that the server does not know, or not in this order (RFC 5321 §4.2.4)."""
UNKNOWN_ARGUMENTS = UNKNOWN_COMMAND | {501, 504, 555}
"""Those, and replies to arguments that it does not know."""

_UNKNOWN: Mapping[Extension, Collection[int]] = {
    Extension.PIPELINING: UNKNOWN_COMMAND,
    Extension.CHUNKING: UNKNOWN_ARGUMENTS,
}
_NAMED: Mapping[Extension, re.Pattern[str]] = {
    Extension.PIPELINING: re.compile(r"pipelin|synchroni[sz]ation|out of sync", re.IGNORECASE),
    Extension.CHUNKING: re.compile(r"\bbdat\b|\bchunk|\b5\.5\.[124]\b", re.IGNORECASE),
}
"""Words by which servers refuse it under any code. RFC 3463 §3.6: 5.5.1, 5.5.2 and 5.5.4 are about the command."""
_SMTPUTF8 = re.compile(r"smtp-?utf-?8|\b[45]\.6\.7\b|internationali[sz]ed|non-?ascii", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Way:
    """How one mail's conversation goes. `pipelining`: MAIL and RCPT in one group. `chunking`: BDAT, not DATA."""

    pipelining: bool = False
    chunking: bool = False

    @property
    def round_trips(self) -> int:
        """Of one mail behind a backlog."""
        return 4 - 2 * self.pipelining - self.chunking


@dataclass(frozen=True, slots=True)
class Suspicion:
    """That what the server refuses, or does not answer, is the extension and not the mail.

    `size`: as in `Extensions.failed`.
    """

    extension: Extension
    size: int = 0


@dataclass(frozen=True, slots=True)
class _Failure:
    at: float
    size: int


class Extensions:
    """What one process has learned of one server's extensions.

    `proven`: those that have worked since the start.

    `allowed`: those that may be used at all. `server`: its name for the log. An extension is given up after three
    failures that no success contradicts: content of that size did not pass by it since.
    """

    def __init__(
        self,
        allowed: Collection[Extension] = frozenset(Extension),
        server: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.allowed = frozenset(allowed)
        self.given_up: set[Extension] = set()
        self.proven: set[Extension] = set()
        self._statuses: set[tuple[str, ...]] = set()
        self._server = server
        self._clock = clock
        self._failures: dict[Extension, list[_Failure]] = {each: [] for each in Extension}

    def way(self, offered: Collection[str]) -> Way:
        """`offered`: the keywords of the server's EHLO reply, in lower case."""
        return Way(*(each in offered and each in self.allowed - self.given_up for each in Extension))

    def accepts_by(self, statuses: tuple[str, ...], *, first: bool) -> bool:
        """Whether MAIL and RCPT are accepted by these status codes (RFC 3463), as in the `first` one of any session."""
        if first or not self._statuses:
            self._statuses.add(statuses)
        return statuses in self._statuses

    def worked(self, extension: Extension, size: int = 0) -> None:
        """`size`: as in `failed`."""
        self.proven.add(extension)
        if failures := self._failures[extension]:
            self._failures[extension] = [each for each in failures if each.size > size]

    def confirmed(self, suspicion: Suspicion) -> None:
        """Count a mail that passed without the extension."""
        problem = "what is refused with it passes without it"
        self.failed(suspicion.extension, problem, opened=self._clock(), size=suspicion.size)

    def describe(self, offered: Collection[str]) -> str:
        """Returns in words what the server offers, and what follows from it."""
        names = ", ".join(each.upper() for each in Extension if each in offered) or "neither PIPELINING nor CHUNKING"
        unused = (
            "" if self.allowed == frozenset(Extension) else f" (SMTP_EXTENSIONS allows {self._named(self.allowed)})"
        )
        count = self.way(offered).round_trips
        return f"offers {names}{unused}: {count} round trip{'s' * (count > 1)} a mail behind a backlog"

    @staticmethod
    def _named(extensions: Collection[Extension]) -> str:
        return ", ".join(sorted(each.upper() for each in extensions)) or "none"

    def failed(self, extension: Extension, problem: str, *, opened: float, size: int = 0) -> None:
        """Count a failure. `opened`: when its session was opened. `size`: of the content by chunk, or before the group.

        A server that ends breaks all sessions at once; that counts as one failure, so each has to come from a session
        that was opened since the last one.
        """
        failures = self._failures[extension]
        if extension in self.given_up or (failures and opened < failures[-1].at):
            return
        failures.append(_Failure(self._clock(), size))
        if len(failures) >= _MAX_FAILURES:
            self.given_up.add(extension)
            log.warning(
                "smtp.extension_given_up", extension=extension, host=self._server, problem=problem, hint=_GIVEN_UP_HINT
            )


def may_be_about(extension: Extension, code: int, text: str) -> bool:
    """Whether a refusal of what was said by the extension may be about that, rather than about the mail."""
    return code in _UNKNOWN[extension] or _NAMED[extension].search(text) is not None


def refuses_smtputf8(code: int, text: str) -> bool:
    """Whether a refusal of MAIL with SMTPUTF8 (RFC 6531) may be about that: of this one mail, and no other."""
    return code in UNKNOWN_ARGUMENTS or _SMTPUTF8.search(text) is not None
