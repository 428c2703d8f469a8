"""`make scale-model`: from 1 to 10,000 mails a second, which part is the limit, and how many of each are needed.

Pure arithmetic on measured costs. What is not measured here is named as an assumption; docs/scale.md reads it.
"""

import argparse
import json
import math
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import plot, results

HERE = Path(__file__).parent
RATES = (1, 10, 100, 1_000, 10_000)
_FULL = 0.7
"""The part of a core or of an account that is planned with."""


@dataclass(frozen=True, slots=True)
class Part:
    """`per_second`: events that one of it takes. `assumed`: not measured here."""

    name: str
    per_second: float
    assumed: bool = False

    def needed(self, rate: float) -> int:
        return max(1, math.ceil(rate / self.per_second))


@dataclass(frozen=True, slots=True)
class Costs:
    """CPU ms an event by `make bench-costs`, 30 November 2026 under a load of 2.4.

    `broker`: the highest of three measurements. `mongodb`: of the stand-in, which is slower than MongoDB.
    `conversations`: mails/s of 8 connections at 40 ms, with one round trip for each mail; 46 where the server offers
    neither PIPELINING nor CHUNKING.
    """

    worker: float = 2.44
    broker: float = 0.5
    redis: float = 0.17
    mongodb: float = 2.22
    conversations: float = 173.0


def parts(costs: Costs, account_per_second: float) -> tuple[Part, ...]:
    """`account_per_second`: what the provider takes of one account. A queue has one leader, so at most one core."""
    return (
        Part("worker processes", _per_core(costs.worker)),
        Part("pools of 8 connections, 40 ms away", costs.conversations),
        Part("quorum queues", _per_core(costs.broker), assumed=True),
        Part("Redis nodes", _per_core(costs.redis)),
        Part("MongoDB shards", _per_core(costs.mongodb), assumed=True),
        Part("provider accounts", account_per_second, assumed=True),
    )


def _per_core(cpu_ms: float) -> float:
    return _FULL * 1000 / cpu_ms


def limit(model: Sequence[Part]) -> Part:
    """The part of which one takes the least: what is full first."""
    return min(model, key=lambda part: part.per_second)


@dataclass(frozen=True, slots=True)
class Scaler:
    """KEDA's rule for one queue, and the autoscaler's own pace: at most double, or four more, at each look."""

    fewest: int = 2
    most: int = 6
    per_pod: int = 500
    every_s: int = 15
    start_s: int = 5

    def wanted(self, waiting: float, pods: int) -> int:
        wanted = min(self.most, max(self.fewest, math.ceil(waiting / self.per_pod)))
        return min(wanted, max(2 * pods, pods + 4))


@dataclass(frozen=True, slots=True)
class Drained:
    seconds: int
    most_pods: int
    most_waiting: int


def drain(
    burst: int, arriving: float, *, pod: float, provider: float, scaler: Scaler, patience_s: int = 7200
) -> Drained | None:
    """A burst beside a steady stream, second by second; None where it has not drained in `patience_s`.

    `pod`, `provider`: mails that each takes a second.

    Pods are never taken away meanwhile: KEDA's cooldown and the autoscaler's window of five minutes are longer.
    """
    waiting, pods, ready_at, coming, most = float(burst), scaler.fewest, 0, scaler.fewest, burst
    for second in range(1, patience_s + 1):
        if second % scaler.every_s == 0 and (wanted := scaler.wanted(waiting, pods)) > coming:
            coming, ready_at = wanted, second + scaler.start_s
        if second >= ready_at:
            pods = coming
        waiting += arriving - min(waiting + arriving, pods * pod, provider)
        most = max(most, round(waiting))
        if waiting < 1:
            return Drained(second, pods, most)
    return None


def _scaling(costs: Costs) -> Iterator[results.Row]:
    near, far = _per_core(costs.worker), costs.conversations
    for burst, arriving in ((5_000, 10), (20_000, 50), (100_000, 100)):
        for place, pod in (("no delay", near), ("40 ms away", far)):
            for provider in (14.0, 100.0, math.inf):
                found = drain(burst, arriving, pod=min(near, pod), provider=provider, scaler=Scaler())
                yield {
                    "burst": burst,
                    "arriving/s": arriving,
                    "mail server": place,
                    "it takes/s": "all" if math.isinf(provider) else str(round(provider)),
                    "drained in": f"{found.seconds} s" if found else "not in two hours",
                    "pods": str(found.most_pods) if found else str(Scaler().most),
                }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--account", type=float, default=14.0, help="mails a second that one account may send")
    parser.add_argument("--out", type=Path, help="draw the picture into this file")
    options = parser.parse_args()
    costs = Costs()
    model = parts(costs, options.account)
    rows: list[results.Row] = [
        {
            "part": f"{part.name}{' (assumed)' if part.assumed else ''}",
            "one takes/s": round(part.per_second),
            **{f"{rate:,}/s": part.needed(rate) for rate in RATES},
        }
        for part in model
    ]
    results.show(f"How many of each; the first limit is {limit(model).name}", rows)
    results.show("A burst, by the rule of scaledobject.yaml", list(_scaling(costs)))
    if options.out:
        lines = {part.name: [part.needed(rate) for rate in RATES] for part in model}
        data = {"out": str(options.out.resolve()), "rates": RATES, "lines": lines}
        subprocess.run([plot.python(), str(HERE / "scale_drawing.py")], input=json.dumps(data), text=True, check=True)


if __name__ == "__main__":
    main()
