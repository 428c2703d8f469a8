"""How many examples each fuzz test tries: few in CI, FUZZ_EXAMPLES by hand, FUZZ_TIMES as many under make soak."""

import os

from hypothesis import HealthCheck, settings

from tests.fuzzing import examples

FEW = int(os.environ.get("FUZZ_EXAMPLES", "0")) or examples(60)

MORE = FEW * 3
"""Where one example costs next to nothing."""

# Derandomized while it is short, so that CI tries the same examples each time; a long run looks elsewhere each time.
fuzzed = settings(
    max_examples=FEW,
    derandomize=FEW <= 200,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],  # the machine may be busy
)
fuzzed_more = settings(fuzzed, max_examples=MORE)
