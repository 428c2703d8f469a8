"""Draws what plot.py hands over; runs in an environment of its own, where matplotlib is."""

import json
import sys

import matplotlib as mpl  # type: ignore[import-not-found,unused-ignore]

mpl.use("Agg")
from matplotlib import pyplot as plt  # type: ignore[import-not-found,unused-ignore]

OURS, OTHERS = "#0b5fff", "#9aa5b1"
CONNECTIONS = 8

data = json.load(sys.stdin)
plt.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "axes.titleweight": "bold"})
figure, ((left, far), (middle, right)) = plt.subplots(2, 2, figsize=(15, 10.4), layout="constrained")

names = list(data.get("throughput", {}))
rates = [data["throughput"][name][0] for name in names]
bars = left.barh(names, rates, color=[OURS if name == "ours" else OTHERS for name in names])
labels = [f"{rate:,.0f}/s, {data['throughput'][name][1]:.2f} ms CPU" for name, rate in zip(names, rates, strict=True)]
left.bar_label(bars, labels, padding=4)
left.set_xlim(0, max(rates, default=1) * 1.7)
left.invert_yaxis()
left.set_title("Events a second, one process", loc="left")

distance = data.get("distance", {})
furthest = max((point[0] for points in distance.values() for point in points), default=0)
label_at = float("inf")
for name, points in sorted(distance.items(), key=lambda item: -item[1][-1][1]):
    delays, rates, least, most = (list(column) for column in zip(*points, strict=True))
    shade, width = (OURS, 2.5) if name == "ours" else (OTHERS, 1.5)
    far.plot(delays, rates, color=shade, linewidth=width, marker="o", markersize=4)
    far.fill_between(delays, least, most, color=shade, alpha=0.2, linewidth=0)
    # Labels of lines that end close together do not lie on each other.
    label_at = min(rates[-1], label_at / 1.25)
    far.text(furthest * 1.03, label_at, f"{name} {rates[-1]:,.0f}", va="center", color=shade)
if distance:
    # What 8 connections can carry: nothing is faster than the wire.
    apart = [furthest * step / 100 for step in range(8, 101)]
    for number, side in ((1, "bottom"), (4, "top")):
        carried = [CONNECTIONS * 1000 / (number * trip) for trip in apart]
        far.plot(apart, carried, color="#cbd2d9", linestyle="--", linewidth=1.5, zorder=0)
        label = f"{CONNECTIONS} connections, {number} round trip{'s' * (number > 1)} a mail"
        far.text(
            apart[45],
            carried[45] * (1.1 if number == 1 else 0.9),
            label,
            va=side,
            fontsize=8,
            color="#7b8794",
            backgroundcolor="white",
        )
    far.set_yscale("log")
    far.yaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1, 2, 5)))
    far.yaxis.set_major_formatter("{x:,.0f}")
    far.minorticks_off()
    far.set_xlim(left=-furthest * 0.02, right=furthest * 1.3)
    far.set_xlabel("round trip to the mail server, ms")
    far.set_xticks(sorted({point[0] for points in distance.values() for point in points}))
far.set_title("Mails a second by distance, one process (log)", loc="left")

rows = data.get("latency", [])
places = range(len(rows))
for field, shade in (("max", "#e4e7eb"), ("p99", "#9aa5b1"), ("p50", OURS)):
    middle.barh(places, [row[field] for row in rows], color=shade, label=field)
middle.set_yticks(places, [f"{row['program']}, {row['load']}\n{row['events/s']:.0f} events/s" for row in rows])
for place, row in zip(places, rows, strict=True):
    told = " / ".join(f"{row[field]:,.{int(row[field] < 100)}f}" for field in ("p50", "p99", "max"))
    middle.text(row["max"] * 1.15, place, told, va="center")
if rows:
    middle.set_xscale("log")
    middle.set_xlim(right=max(row["max"] for row in rows) * 60)
    middle.legend(loc="upper center", bbox_to_anchor=(0.5, -0.06), ncols=3, reverse=True, frameon=False)
middle.invert_yaxis()
middle.set_title("Due to 250, ms: p50 / p99 / max (log)", loc="left")

stages = data.get("stages", [])
bars = right.barh([row["stage"] for row in stages], [row["CPU ms/event"] for row in stages], color=OURS)
right.bar_label(bars, [f"{row['CPU ms/event']:.2f}" for row in stages], padding=4)
right.invert_yaxis()
right.margins(x=0.12)
right.set_title("CPU of an event of ours by stage, ms", loc="left")

figure.supxlabel(data.get("note", ""), fontsize=9, color="#616e7c")
figure.savefig(data["out"], dpi=110)
