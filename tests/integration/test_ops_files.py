"""docs/ops: the rules are judged by promtool, and rules and board ask only for metrics that there are."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.stack import promtool
from tests.unit.test_metrics import watched

OPS = Path(__file__).parents[2] / "docs" / "ops"
FROM_ELSEWHERE = {"up"}


def _rules() -> list[dict[str, Any]]:
    loaded: dict[str, Any] = yaml.safe_load((OPS / "alerts.yaml").read_text("utf-8"))
    return [rule for group in loaded["groups"] for rule in group["rules"]]


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (promtool.found(), *arguments), cwd=OPS, capture_output=True, text=True, timeout=60, check=False
    )


def test_promtool_finds_nothing_wrong_and_each_rule_fires_on_its_condition() -> None:
    for arguments in (("check", "rules", "alerts.yaml"), ("test", "rules", "alerts_test.yaml")):
        done = _run(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
    fired = set(
        re.findall(r'alertname="(\w+)"|alertname: (\w+)$', (OPS / "alerts_test.yaml").read_text("utf-8"), re.MULTILINE)
    )
    assert {rule["alert"] for rule in _rules()} == {name for pair in fired for name in pair if name}


def _asked(expression: str) -> set[str]:
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|by \([^)]*\)", " ", expression)
    return set(re.findall(r"\b(?:notifications?_\w+|process_\w+|up)\b", bare))


def _kept() -> set[str]:
    names = set()
    for family in watched().registry.collect():
        names |= {family.name} | {family.name + ending for ending in ("_total", "_bucket", "_count", "_sum", "_info")}
    return names


def test_rules_and_board_ask_for_metrics_that_there_are() -> None:
    board = json.loads((OPS / "dashboard.json").read_text("utf-8"))
    expressions = [rule["expr"] for rule in _rules()]
    expressions += [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    for expression in expressions:
        assert _asked(expression), expression
        assert _asked(expression) <= _kept() | FROM_ELSEWHERE, expression


def test_labels_of_rules_and_board_are_those_of_the_metrics() -> None:
    known = {"job", "instance", "le", "alertname"}
    for family in watched().registry.collect():
        known |= {label for sample in family.samples for label in sample.labels}
    known |= {
        "event_type",
        "outcome",
        "template",
        "channel",
        "reason",
        "delay",
        "counted",
        "provider",
        "reply",
        "mailbox",
        "kind",
        "result",
    }
    text = (OPS / "alerts.yaml").read_text("utf-8") + (OPS / "dashboard.json").read_text("utf-8").replace('\\"', '"')
    used = set(re.findall(r'[{,]\s*(\w+)(?:=~|!=|=)"', text))
    used |= {label.strip() for found in re.findall(r"by \(([^)]*)\)", text) for label in found.split(",")}
    assert used <= known


def test_every_alert_says_what_to_do() -> None:
    page = (OPS / "alerts.md").read_text("utf-8")
    for rule in _rules():
        assert f"\n## {rule['alert']}\n" in page
        assert rule["annotations"]["runbook"] == f"docs/ops/alerts.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in {"page", "ticket"}


def test_the_panels_of_the_board_do_not_lie_on_each_other() -> None:
    board = json.loads((OPS / "dashboard.json").read_text("utf-8"))
    cells: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        own = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & own
        cells |= own
