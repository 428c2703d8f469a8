"""How long the fuzz tests look: a slice in an ordinary run, twenty times their full length under `make soak`."""

import os

TIMES = float(os.environ.get("FUZZ_TIMES", "0.25"))
_FEWEST = 5


def examples(full: int) -> int:
    """Return how many examples a test tries: FUZZ_TIMES as many as its `full` length, a quarter unless that is set."""
    return max(round(full * TIMES), min(full, _FEWEST))
