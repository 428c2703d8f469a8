"""The scripted faults of the SMTP server: what a rule says, and which rule comes next."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Literal, Self, get_args

Stage = Literal["greeting", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "dot", "noop"]
Action = Literal[
    "reply",  # answer `reply`; the command takes effect only where that is a 2xx or 3xx
    "drop",  # close the connection without an answer
    "drop_after_accept",  # at the dot: write the ledger, then close without the 250
    "stall",  # never answer; the connection stays open until the client leaves
    "late",  # do the work (at the dot: write the ledger), wait `seconds`, then answer
    "slow",  # answer one byte every `seconds` (1 where none are given)
    "unsolicited",  # answer, and send `reply` (or a made-up line) on top
    "garbage",  # answer `reply` as raw bytes, or a line of 64 KiB without a code
    "strip",  # at starttls: do not offer STARTTLS
]


@dataclass(kw_only=True)
class Rule:
    """One fault: at a stage, for arguments that contain `match`, so many `times` (None: always).

    At `data` and `dot`, which have no argument, `match` looks at the recipients; at `auth`, at the mechanism
    and the user. A `reply` of several lines has them separated by a newline, each with its code.
    """

    at: Stage
    action: Action = "reply"
    match: str = ""
    reply: str | None = None
    seconds: float | None = None
    times: int | None = None

    def __post_init__(self) -> None:
        if self.at not in get_args(Stage) or self.action not in get_args(Action):
            raise ValueError(f"no such stage or action: {self.at!r}, {self.action!r}")
        if self.action == "reply" and self.reply is None:
            raise ValueError("the action 'reply' needs a reply")
        if self.action == "late" and self.seconds is None:
            raise ValueError("the action 'late' needs seconds")
        if self.action == "strip" and self.at != "starttls":
            raise ValueError("the action 'strip' belongs to the stage 'starttls'")

    @classmethod
    def read(cls, fields: Mapping[str, object]) -> Self:
        """Build a rule from a line of the control port."""
        return cls(**{"action": "reply", **fields})  # type: ignore[arg-type]  # __post_init__ checks what matters

    def fields(self) -> dict[str, object]:
        return asdict(self)

    def fits(self, at: Stage, argument: str) -> bool:
        return self.at == at and self.times != 0 and self.match.lower() in argument.lower()


class Script:
    """The rules in force; the first that fits is taken."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []

    def replace(self, rules: Iterable[Rule]) -> None:
        self._rules = list(rules)

    def take(self, at: Stage, argument: str = "") -> Rule | None:
        """Return the first rule that fits, and count it as used; `strip` is looked at, never taken."""
        for rule in self._rules:
            if rule.action != "strip" and rule.fits(at, argument):
                if rule.times is not None:
                    rule.times -= 1
                return rule
        return None

    def strips_starttls(self) -> bool:
        return any(rule.action == "strip" for rule in self._rules)
