"""The retry schedule: how long a message waits for its next try."""

from dataclasses import dataclass

DEFAULT_DELAYS_S = (5, 30, 120, 600, 3600)
"""Each delay has a queue with a fixed time to live, so that no message waits behind one with a longer delay."""

_LONGER_DELAY_ONE_IN = 4


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    most: int
    """How many retries there are before we give up."""

    delays: tuple[int, ...] = DEFAULT_DELAYS_S

    def next_wait(self, attempt: int, server_wait_s: float | None, jitter: float) -> int | None:
        """The delay in seconds for the retry after `attempt` earlier ones; None when all retries are used up.

        `server_wait_s`: what the server asked for; the delay is at least that, or the longest. `jitter`, in [0, 1): one
        message in four takes the next longer delay, so that messages which failed together are not retried together.
        """
        if attempt >= self.most:
            return None
        index = min(attempt, len(self.delays) - 1)
        index = max(index, self._delay_at_least(server_wait_s or 0))
        if jitter * _LONGER_DELAY_ONE_IN < 1:
            index = min(index + 1, len(self.delays) - 1)
        return self.delays[index]

    def _delay_at_least(self, seconds: float) -> int:
        return next((index for index, delay in enumerate(self.delays) if delay >= seconds), len(self.delays) - 1)

    def delay_within(self, seconds: float) -> int:
        """The longest delay of at most `seconds`, else the shortest; a message that is not due then waits again."""
        return next((delay for delay in reversed(self.delays) if delay <= seconds), self.delays[0])

    def delay_for(self, seconds: float) -> int:
        """The shortest delay of at least `seconds`, else the longest."""
        return self.delays[self._delay_at_least(seconds)]
