"""Draws what scale_model.py hands over; runs where matplotlib is, as drawing.py does."""

import json
import sys

import matplotlib as mpl  # type: ignore[import-not-found,unused-ignore]

mpl.use("Agg")
from matplotlib import pyplot as plt  # type: ignore[import-not-found,unused-ignore]

data = json.load(sys.stdin)
plt.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False})
figure, axes = plt.subplots(figsize=(8, 4.6), layout="constrained")
for name, needed in data["lines"].items():
    axes.plot(data["rates"], needed, marker="o", label=name)
axes.set_xscale("log")
axes.set_yscale("log")
axes.set_xlabel("mails a second")
axes.set_ylabel("how many are needed")
axes.legend(frameon=False)
axes.grid(visible=True, which="major", color="#e4e7eb")
figure.savefig(data["out"], dpi=110)
