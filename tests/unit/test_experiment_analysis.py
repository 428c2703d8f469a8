"""What the records of a test say, and in which words."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from notification_service.console import effect_chart
from notification_service.contract.variants import Experiment, Variant
from notification_service.delivery.ports.experiments import RegisteredExperiment
from notification_service.delivery.ports.ledger import Record
from notification_service.records import experiment_sentences as sentences
from notification_service.records.experiment_analysis import Analysis, Verdict, analyse, first_exposures, plan
from notification_service.records.experiment_statistics import DECISION

START = datetime(2026, 12, 1, 9, tzinfo=UTC)
NOW = START + timedelta(days=20)
TESTED = Experiment("payment_failed", 0.5, "2026-12", 0.05)
HOUR = timedelta(hours=1)


def record(number: int, variant: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever BSON holds
    """Sent ten minutes after its assignment, one an hour."""
    at = START + number * HOUR / 10
    fields = {
        "_id": f"n{number}",
        "unit": f"u{number}",
        "variant": variant,
        "outcome": "sent",
        "booking_id": f"B{number}",
        "created_at": at,
        "sent_at": at + timedelta(minutes=10),
        "template_digest": "d" + variant,
    }
    return {**fields, **changes}


def paid(records: Sequence[Record], after: timedelta = HOUR) -> dict[str, list[datetime]]:
    return {str(each["booking_id"]): [each["sent_at"] + after] for each in records}


def analysed(records: Sequence[Record], payments: dict[str, list[datetime]], **test: Any) -> Analysis:  # noqa: ANN401
    return analyse(RegisteredExperiment(TESTED, START, **test), records, payments, NOW)


def arms(found: Analysis) -> dict[str, tuple[int, int]]:
    return {"a": (found.now.a.units, found.now.a.conversions), "b": (found.now.b.units, found.now.b.conversions)}


def test_a_payment_within_48_hours_is_a_conversion() -> None:
    one = record(1, "a")
    for after, conversions in ((timedelta(), 1), (48 * HOUR, 1), (48.01 * HOUR, 0), (-HOUR, 0)):
        assert arms(analysed([one], paid([one], after)))["a"] == (1, conversions)


def test_only_messages_older_than_48_hours_are_analysed() -> None:
    for hours, units in ((47, 0), (49, 1)):
        one = record(1, "b", sent_at=NOW - hours * HOUR)
        assert arms(analysed([one], {}))["b"] == (units, 0)


@pytest.mark.parametrize("outcome", ["simulated", "parked", "bounced", "unknown", "pending", "skipped"])
def test_what_was_not_sent_is_no_exposure(outcome: str) -> None:
    one = record(1, "b", outcome=outcome)
    found = analysed([one], paid([one]))
    assert arms(found)["b"] == (0, 0)
    assert found.sent[Variant.B] == 0
    assert found.assigned[Variant.B] == 1


def test_a_possible_duplicate_counts_once() -> None:
    one = record(1, "b", possible_duplicate=True)
    assert arms(analysed([one], paid([one])))["b"] == (1, 1)


def test_the_first_exposure_of_a_unit_counts_and_no_other() -> None:
    first, second = record(1, "a", unit="u"), record(2, "a", unit="u")
    assert arms(analysed([second, first], paid([second])))["a"] == (1, 0)
    assert arms(analysed([second, first], paid([first])))["a"] == (1, 1)


def test_a_fallback_is_analysed_as_it_was_assigned() -> None:
    one = record(1, "a", fell_back=True)
    found = analysed([one], paid([one]))
    assert arms(found) == {"a": (0, 0), "b": (1, 1)}
    assert found.guardrails[Variant.B].fell_back == 1


def test_an_erased_record_counts_though_it_has_no_unit() -> None:
    erased = [{name: value for name, value in record(number, "b").items() if name != "unit"} for number in (1, 2)]
    assert arms(analysed(erased, {}))["b"] == (2, 0)


def test_guardrails_are_counted_by_the_assigned_variant() -> None:
    found = analysed(
        [
            record(1, "b", outcome="bounced"),
            record(2, "b", delivery={"status": "complained"}),
            record(3, "b", delivery={"status": "failed"}),
            record(4, "a", outcome="parked", reason="template_error"),
            record(5, "a", outcome="parked", reason="retries_exhausted"),
        ],
        {},
    )
    a, b = found.guardrails[Variant.A], found.guardrails[Variant.B]
    assert (a.template_error, a.parked, a.bounced, a.complaints) == (1, 2, 0, 0)
    assert (b.template_error, b.parked, b.bounced, b.complaints) == (0, 0, 2, 1)


def people(rate_a: float, rate_b: float, number: int = 4000) -> tuple[list[dict[str, Any]], dict[str, list[datetime]]]:
    """As many of each variant, of which exactly these shares pay, spread evenly."""
    records = [record(each, "ab"[each % 2]) for each in range(number)]
    rates = {"a": rate_a, "b": rate_b}
    buyers = [
        each
        for at, each in enumerate(records)
        if int((at // 2 + 1) * rates[each["variant"]]) > int((at // 2) * rates[each["variant"]])
    ]
    return records, paid(buyers)


@pytest.mark.parametrize(
    ("rates", "verdict", "said"),
    [
        ((0.30, 0.40), Verdict.B_BETTER, "b is better: decided on"),
        ((0.40, 0.30), Verdict.A_BETTER, "a is better: decided on"),
        ((0.30, 0.31), Verdict.UNDECIDED, "That is no proof that both are alike"),
        ((0.01, 0.00), Verdict.TOO_EARLY, "each variant needs 30 conversions"),
    ],
)
def test_the_verdict_is_said_in_plain_words(rates: tuple[float, float], verdict: Verdict, said: str) -> None:
    found = analysed(*people(*rates))
    assert found.verdict is verdict
    text = " ".join(sentences.meaning(found))
    assert said in text
    assert "Nobody is switched to a variant automatically" in text


def test_a_sample_ratio_that_is_wrong_forbids_to_read_the_rates() -> None:
    records, payments = people(0.30, 0.60)
    lost = [each for number, each in enumerate(records) if each["variant"] == "a" or number % 3 == 0]
    found = analysed(lost, payments)
    assert found.verdict is Verdict.RATIO_WRONG
    assert "do not read the rates" in next(sentences.meaning(found))
    assert sentences.ratio(found).startswith("The split a : b is not as set: assigned 2,000 : 66")


def test_a_ratio_that_is_wrong_among_the_sent_alone_is_noticed() -> None:
    records, payments = people(0.30, 0.30)
    bounced = [
        {**each, "outcome": "bounced"} if each["variant"] == "b" and number % 3 else each
        for number, each in enumerate(records)
    ]
    found = analysed(bounced, payments)
    assert not found.assigned_ratio.is_wrong
    assert found.sent_ratio.is_wrong
    assert found.verdict is Verdict.RATIO_WRONG


def test_a_decision_stands_though_a_later_look_is_weaker() -> None:
    records, payments = people(0.30, 0.45, 2000)
    later, late_payments = people(0.38, 0.30, 4600)
    found = analysed(
        [*records, *later[2000:]],
        {**payments, **paid([each for each in later[2000:] if each["booking_id"] in late_payments])},
    )
    assert found.decided
    assert found.decided.evidence > 20 > found.now.evidence
    assert found.verdict is Verdict.B_BETTER


def test_there_is_one_look_a_day_and_one_now() -> None:
    found = analysed(*people(0.3, 0.3))
    first = START + timedelta(days=2)
    assert [each.at.hour for each in found.looks[:-1]] == [0] * (len(found.looks) - 1)
    assert found.looks[0].at.date() == (first + timedelta(days=1)).date()
    assert found.looks[-1].at == NOW
    assert [each.a.units for each in found.looks] == sorted(each.a.units for each in found.looks)


@pytest.mark.parametrize("rates", [(0.3, 0.3), (0.3, 0.42), (0.9, 0.2)])
def test_the_picture_has_every_interval_inside_of_round_lines_and_ends_now(rates: tuple[float, float]) -> None:
    found = analysed(*people(*rates))
    chart = effect_chart.draw(found.looks, TESTED.wanted, DECISION)
    assert chart
    heights = [y for y, _ in chart.lines]
    assert min(heights) <= chart.marks[-1].high < chart.marks[-1].y < chart.marks[-1].low <= max(heights)
    says = [text for _, text in chart.lines]
    assert says == [
        says[0],
        says[1],
        "0",
        says[1].replace("\N{MINUS SIGN}", "+"),
        says[0].replace("\N{MINUS SIGN}", "+"),
    ]
    assert "." not in says[0]
    assert [text for _, text in chart.labels].count("now") == 1
    assert len({text for _, text in chart.labels}) == len(chart.labels)


def test_contents_that_changed_during_the_test_are_told() -> None:
    found = analysed([record(1, "b"), record(2, "b", template_digest="another")], {})
    assert "Variant b was sent in 2 versions" in " ".join(sentences.meaning(found))


def test_a_test_without_records_is_too_early() -> None:
    found = analysed([], {})
    assert found.verdict is Verdict.TOO_EARLY
    assert len(sentences.rows(found)) == 2


def test_a_stop_says_when_and_why() -> None:
    found = analysed([], {}, stopped_at=NOW, stop_reason="variant b of payment_failed could not be composed: x.txt:1")
    said = sentences.state(found.registered)
    assert "It stopped 2026-12-21 09:00 UTC, and everybody gets a: variant b of payment_failed could not" in said


# ── the plan ─────────────────────────────────────────────────────────────────────────────────────────
def test_a_plan_says_how_many_days_the_wanted_effect_takes() -> None:
    records = [record(number, "a") for number in range(700)]
    exposures = first_exposures(records, paid(records[::3]))
    made = plan(exposures, 0.05, 0.5, START + 70 * HOUR + timedelta(days=2))
    assert made
    assert made.units_per_day == pytest.approx(240, rel=0.01)
    assert made.rate == pytest.approx(1 / 3, rel=0.01)
    assert made.duration_days == pytest.approx(made.units_needed / made.units_per_day + 2)
    text = " ".join(sentences.planned(TESTED, made))
    assert "33.3% of them pay" in text
    assert f"{made.duration_days:,.0f} days at this traffic" in text


def test_a_plan_without_conversions_says_so() -> None:
    assert plan(first_exposures([record(1, "a")], {}), 0.05, 0.5, NOW) is None
    assert "there is no rate to plan with" in " ".join(sentences.planned(TESTED, None))


def test_before_a_test_the_unit_is_that_of_the_event() -> None:
    bare = [
        {**record(number, "a", unit=None), "event_data": {"user_id": "U", "booking_id": f"B{number}"}}
        for number in (1, 2)
    ]
    assert len(first_exposures(bare, {})) == 1
