"""The retry ladder: how long a mail waits for its next try."""

from dataclasses import dataclass

DEFAULT_DELAYS_S = (5, 30, 120, 600, 3600)
"""Seconds, one queue each: a fixed time to live, so that nothing waits behind something that waits longer."""

_ONE_IN = 4


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    most: int
    """How many retries there are before we give up."""

    delays: tuple[int, ...] = DEFAULT_DELAYS_S

    def next_wait(self, attempt: int, named: float | None, jitter: float) -> int | None:
        """The rung for the retry after `attempt` earlier ones, in seconds; None when all are used up.

        A wait that the server `named` is honoured as far as there are rungs; what is longer needs a time of its own.
        `jitter`, in [0, 1): one mail in four takes the rung above, so that a crowd that failed together does not come
        back together.
        """
        if attempt >= self.most:
            return None
        index = min(attempt, len(self.delays) - 1)
        index = max(index, self._delay_at_least(named or 0))
        if jitter * _ONE_IN < 1:
            index = min(index + 1, len(self.delays) - 1)
        return self.delays[index]

    def _delay_at_least(self, seconds: float) -> int:
        return next((index for index, delay in enumerate(self.delays) if delay >= seconds), len(self.delays) - 1)

    def delay_within(self, seconds: float) -> int:
        """The longest rung that is over by then, else the shortest: what has a time of its own waits on from there."""
        return next((delay for delay in reversed(self.delays) if delay <= seconds), self.delays[0])

    def delay_for(self, seconds: float) -> int:
        """The shortest rung that waits at least that long, else the longest there is."""
        return self.delays[self._delay_at_least(seconds)]
