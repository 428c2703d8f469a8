"""The retry ladder: how long a mail waits for its next try."""

from dataclasses import dataclass

RUNGS = (5, 30, 120, 600, 3600)
"""Seconds, one queue each: a fixed time to live, so that nothing waits behind something that waits longer."""

_ONE_IN = 4


@dataclass(frozen=True, slots=True)
class Ladder:
    most: int
    """How many retries there are before we give up."""

    rungs: tuple[int, ...] = RUNGS

    def next_wait(self, attempt: int, named: float | None, scatter: float) -> int | None:
        """The rung for the retry after `attempt` earlier ones, in seconds; None when all are used up.

        A wait that the server `named` is honoured as far as there are rungs; what is longer needs a time of its own.
        `scatter`, in [0, 1): one mail in four takes the rung above, so that a crowd that failed together does not come
        back together.
        """
        if attempt >= self.most:
            return None
        index = min(attempt, len(self.rungs) - 1)
        index = max(index, self._rung_at_least(named or 0))
        if scatter * _ONE_IN < 1:
            index = min(index + 1, len(self.rungs) - 1)
        return self.rungs[index]

    def _rung_at_least(self, seconds: float) -> int:
        return next((index for index, rung in enumerate(self.rungs) if rung >= seconds), len(self.rungs) - 1)

    def rung_within(self, seconds: float) -> int:
        """The longest rung that is over by then, else the shortest: what has a time of its own waits on from there."""
        return next((rung for rung in reversed(self.rungs) if rung <= seconds), self.rungs[0])

    def rung_for(self, seconds: float) -> int:
        """The shortest rung that waits at least that long, else the longest there is."""
        return self.rungs[self._rung_at_least(seconds)]
