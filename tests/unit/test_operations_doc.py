"""docs/operations.md and README.md speak of what is there, and leave nothing of it out."""

import re
from pathlib import Path

import pytest

from notification_service.broker import topology
from notification_service.contract.notification_rules import TEMPLATES
from notification_service.contract.outcomes import (
    PENDING,
    WAITING,
    Bounced,
    Outcome,
    Parked,
    ParkReason,
    Rejected,
    RejectReason,
    Sent,
    Simulated,
    Skipped,
    SkipReason,
    Unknown,
    summarize,
)
from notification_service.delivery import retries
from notification_service.settings import RabbitSettings
from tests.unit.test_metrics import watched

ROOT = Path(__file__).parents[2]
OPERATIONS = ROOT / "docs" / "operations.md"
DOCUMENTS = (
    "README.md",
    "docs/mails.md",
    "docs/decisions.md",
    "docs/extend.md",
    "docs/providers.md",
    "benchmarks/README.md",
    "CHANGELOG.md",
    "docs/operations.md",
    "docs/logs.md",
    "docs/experiments.md",
    "docs/ops/alerts.md",
    "docs/ops/logs.md",
)

ENDINGS: tuple[Outcome, ...] = (
    Sent(),
    Simulated("path"),
    Skipped(SkipReason.EXPIRED),
    Bounced("5.1.1", ""),
    Rejected(RejectReason.SCHEMA, ""),
    Parked(ParkReason.INTERNAL_ERROR, ""),
    Unknown(""),
)


def _rows(text: str) -> set[tuple[str, str]]:
    """The first two cells of every row whose first cell is one name."""
    return set(re.findall(r"^\| `([^`]+)` \| ([^|]*?) \|", text, re.MULTILINE))


def test_every_outcome_is_explained_with_its_status() -> None:
    rows = _rows(OPERATIONS.read_text("utf-8"))
    assert {type(ending) for ending in ENDINGS} == set(Outcome.__args__)
    for ending in ENDINGS:
        told = summarize(ending)
        assert (told.outcome, told.status) in rows
    assert {(PENDING, "pending"), (WAITING, "pending")} <= rows


def test_every_reason_is_explained() -> None:
    rows = _rows(OPERATIONS.read_text("utf-8"))
    for reasons, outcome in ((SkipReason, "skipped"), (RejectReason, "rejected"), (ParkReason, "parked")):
        written = {name for name, of in rows if of == outcome}
        assert written == {str(reason) for reason in reasons}


def test_every_metric_is_in_the_table_with_its_kind() -> None:
    endings = {"counter": "_total", "info": "_info"}
    kept = {
        (family.name + endings.get(family.type, ""), family.type)
        for family in watched().registry.collect()
        if family.name.startswith("notification")
    }
    assert kept <= _rows(OPERATIONS.read_text("utf-8"))
    written = {name for name, _ in _rows(OPERATIONS.read_text("utf-8")) if re.match(r"notifications?_", name)}
    assert written == {name for name, _ in kept}


def test_every_queue_is_named() -> None:
    text = OPERATIONS.read_text("utf-8")
    rabbit = RabbitSettings(_env_file=None)
    plan = topology.plan(
        exchange=rabbit.exchange,
        booking_queue="notification.booking_events",
        payment_queue="notification.payment_events",
        delays=retries.DEFAULT_DELAYS_S,
        parking_seconds=1,
        express=True,
    )
    for queue in (*plan.fed, *plan.own):
        short = queue.name.removeprefix("notification.retry")
        assert f"`{queue.name}`" in text or f"`{short}`" in text


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_and_make_target_leads_somewhere(name: str) -> None:
    document = ROOT / name
    text = document.read_text("utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (document.parent / target).exists(), target
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z0-9-]+)", text)) <= targets


def test_the_readme_names_every_template() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert all(f"`{template}`" in readme for template in TEMPLATES)
