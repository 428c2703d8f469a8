"""Which SMTP extensions a server is spoken to with: those that it offers, until they turn out not to work.

RFC 2920 (PIPELINING): commands go out in groups. RFC 3030 (CHUNKING): BDAT hands the content over without DATA's own
round trip. Servers, and filters before them, offer both and then hang on them or do not know them.
"""

import time
from collections.abc import Callable, Collection
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
UNKNOWN_BDAT = UNKNOWN_COMMAND | {501, 504}


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
class _Failure:
    at: float
    size: int


class Extensions:
    """What one process has learned of one server's extensions.

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
        self.statuses: set[tuple[str, str]] = set()
        """Status codes (RFC 3463) with which it accepts MAIL and RCPT, as the first envelope of a session showed."""
        self._server = server
        self._clock = clock
        self._failures: dict[Extension, list[_Failure]] = {each: [] for each in Extension}

    def way(self, offered: Collection[str]) -> Way:
        """`offered`: the keywords of the server's EHLO reply, in lower case."""
        return Way(*(each in offered and each in self.allowed - self.given_up for each in Extension))

    def worked(self, extension: Extension, size: int = 0) -> None:
        """`size`: of the content that was handed over, in bytes."""
        if failures := self._failures[extension]:
            self._failures[extension] = [each for each in failures if each.size > size]

    def refused(self, extension: Extension) -> None:
        """Count a refusal of a mail that passed without the extension."""
        self.failed(extension, "what is refused with it passes without it", opened=self._clock())

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
        """Count a failure. `opened`: when its session was opened.

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
