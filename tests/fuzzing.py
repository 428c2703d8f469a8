"""How long the fuzz tests look: FUZZ_TIMES as many examples as in an ordinary run."""

import os

TIMES = int(os.environ.get("FUZZ_TIMES", "1"))
