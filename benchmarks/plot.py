"""`make bench-plot`: throughput, distance, latency and stages of the runs kept under var/bench as one picture."""

import argparse
import json
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.results import FOLDER

HERE = Path(__file__).parent
_OWN = HERE.parent / "var" / "plot"
_DRAWN_WITH = "matplotlib==3.10.7"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE / "figures.png")
    options = parser.parse_args()
    data = {"out": str(options.out.resolve()), **gathered(FOLDER)}
    subprocess.run([python(), str(HERE / "drawing.py")], input=json.dumps(data), text=True, check=True)
    print(options.out)


def gathered(folder: Path) -> dict[str, Any]:
    """What is drawn; a run that was not kept is left out."""
    kept = {file.stem: json.loads(file.read_text("utf-8")) for file in folder.glob("*.json")}
    drawn: dict[str, Any] = {}
    if compare := kept.get("compare"):
        drawn["throughput"] = {
            name: [median(run["events_per_second"] for run in runs), median(run["cpu_ms_per_event"] for run in runs)]
            for name, runs in compare["programs"].items()
        }
        drawn["distance"] = by_distance(compare.get("by_delay_ms", {}))
    if latency := kept.get("latency"):
        drawn["latency"] = latency["rows"]
    if stages := kept.get("stages"):
        drawn["stages"] = stages["rows"][:-2]
    drawn["note"] = "; ".join(sorted({f"{each['at'][:10]}, {each['machine']}" for each in kept.values()})[:1])
    return drawn


def by_distance(kept: Mapping[str, Mapping[str, Sequence[float]]]) -> dict[str, list[list[float]]]:
    """By program, a point for each round trip in ms: that, and the median, least and most mails/s of its rounds."""
    lines: dict[str, list[list[float]]] = {}
    for delay in sorted(kept, key=float):
        for name, rates in kept[delay].items():
            if rates:
                lines.setdefault(name, []).append([float(delay), median(rates), min(rates), max(rates)])
    # A line takes two points.
    return {name: points for name, points in lines.items() if len(points) > 1}


def python() -> str:
    """matplotlib and what it needs are 100 MB that nothing else uses: an environment of its own, at the first plot."""
    python, done = _OWN / "bin" / "python", _OWN / "installed.txt"
    if not done.exists() or done.read_text("utf-8") != _DRAWN_WITH:
        print(f"installing {_DRAWN_WITH} into var/plot ...", file=sys.stderr)
        venv.create(_OWN, with_pip=True, clear=True)
        options = ("--quiet", "--disable-pip-version-check", "--only-binary", ":all:")
        subprocess.run([str(python), "-m", "pip", "install", *options, _DRAWN_WITH], check=True)
        done.write_text(_DRAWN_WITH, "utf-8")
    return str(python)


if __name__ == "__main__":
    main()
