"""Says in plain words what a test has shown and what it has not, and how long one takes. Pure."""

from collections.abc import Iterator
from dataclasses import asdict

from notification_service.contract.variants import Experiment, Variant
from notification_service.delivery.ports.experiments import RegisteredExperiment
from notification_service.records import experiment_statistics as statistics
from notification_service.records.experiment_analysis import Analysis, Plan, Verdict
from notification_service.records.experiments import PLAN_DAYS, SHADOW_DAYS, ShadowReport

COLUMNS = (
    *("variant", "assigned", "sent", "analysed", "converted", "rate"),
    *("fell back", "template error", "bounced", "complaints", "parked"),
)


def rows(found: Analysis) -> list[tuple[str, ...]]:
    """A row for each variant, in the order of `COLUMNS`. Units are counted up to the rate, notifications after it."""
    arms = {Variant.A: found.now.a, Variant.B: found.now.b}
    return [
        (
            str(variant),
            *(f"{count:,}" for count in (found.assigned[variant], found.sent[variant], arm.units, arm.conversions)),
            f"{arm.rate:.1%}" if arm.units else "",
            *(f"{count:,}" for count in (guards.fell_back, guards.template_error, guards.bounced)),
            *(f"{count:,}" for count in (guards.complaints, guards.parked)),
        )
        for variant, arm in arms.items()
        for guards in (found.guardrails[variant],)
    ]


def state(known: RegisteredExperiment) -> str:
    """What the test is, and whether a failure stopped it."""
    test = known.experiment
    text = (
        f"Test {test.salt} of {test.template}, started {known.started_at:%Y-%m-%d %H:%M} UTC: {test.share * 100:g}% of "
        f"the people get b, and a difference of {test.wanted * 100:g} percentage points is worth finding."
    )
    if not known.stopped_at:
        return text
    return f"{text} It stopped {known.stopped_at:%Y-%m-%d %H:%M} UTC, and everybody gets a: {known.stop_reason}"


def ratio(found: Analysis) -> str:
    """Whether the units are split as set, for those that were assigned and those that were sent something."""
    if not sum(found.assigned.values()):
        return "Nobody was assigned a variant in this channel yet."
    parts = ("assigned", found.assigned, found.assigned_ratio), ("sent", found.sent, found.sent_ratio)
    texts = [
        f"{name} {counts[Variant.A]:,} : {counts[Variant.B]:,} (p = {each.p_value:.3g})" for name, counts, each in parts
    ]
    as_set = "not as set" if found.verdict is Verdict.RATIO_WRONG else "as set"
    return f"The split a : b is {as_set}: {', '.join(texts)}"


def meaning(found: Analysis) -> Iterator[str]:
    """Yields what the figures mean, and what they do not."""
    yield from _VERDICTS[found.verdict](found)
    for variant, guards in found.guardrails.items():
        if len(guards.versions) > 1:
            yield (
                f"Variant {variant} was sent in {len(guards.versions)} versions: its files, the shared parts or the "
                "catalogues changed during the test, so the result is about a mixture of them."
            )
    yield (
        "Nobody is switched to a variant automatically: to end the test, remove EXPERIMENT, and copy the files of "
        f"templates/{found.registered.experiment.template}@b over the template if b is wanted."
    )


def _ratio_wrong(_: Analysis) -> Iterator[str]:
    yield (
        "The units are not split as set, so do not read the rates: something assigns, sends or records the two "
        "variants differently. Look for the cause among the guardrails, and start again under a new salt."
    )


def _too_early(found: Analysis) -> Iterator[str]:
    yield (
        f"Too early: each variant needs {statistics.MIN_CONVERSIONS} conversions among messages older than 48 hours; "
        f"a has {found.now.a.conversions}, b has {found.now.b.conversions}. The rates mean nothing yet."
    )


def _undecided(found: Analysis) -> Iterator[str]:
    yield (
        f"Undecided: the difference (b minus a) is {_points(found.now.effect)}, and anything {_range(found)} fits the "
        "data. That is no proof that both are alike: the test may go on, and may be looked at as often as you like."
    )


def _decided(found: Analysis) -> Iterator[str]:
    decided, better = found.decided or found.now, "b" if found.verdict is Verdict.B_BETTER else "a"
    yield (
        f"{better} is better: decided on {decided.at:%Y-%m-%d}, with a likelihood ratio of {decided.evidence:,.0f} "
        f"({statistics.DECISION:.0f} decides). The difference (b minus a) is {_points(found.now.effect)} now, and "
        f"anything {_range(found)} fits the data."
    )
    yield (
        f"Of tests without any difference at most {statistics.ALPHA:.0%} end like this, however often they are looked "
        "at. It says nothing about other templates, about payments after 48 hours, or about how people will pay next "
        "year; and a difference that is found early is often larger than the true one."
    )


_VERDICTS = {
    Verdict.RATIO_WRONG: _ratio_wrong,
    Verdict.TOO_EARLY: _too_early,
    Verdict.UNDECIDED: _undecided,
    Verdict.A_BETTER: _decided,
    Verdict.B_BETTER: _decided,
}


def _points(difference: float) -> str:
    return f"{difference * 100:+.1f} percentage points"


def _range(found: Analysis) -> str:
    shown = found.now.interval
    return f"from {_points(shown.low)} to {_points(shown.high)}" if shown else "at all"


def planned(experiment: Experiment, made: Plan | None) -> Iterator[str]:
    """Yields what `plan` says."""
    if made is None:
        yield (
            f"No conversion of {experiment.template} in the last {PLAN_DAYS} days (sent messages older than 48 hours, "
            "followed by a payment.success of the same booking): there is no rate to plan with."
        )
        return
    yield (
        f"{made.units_per_day:,.1f} people a day get a first {experiment.template}, and {made.rate:.1%} of them pay "
        f"within 48 hours (the last {made.days:.0f} days)."
    )
    yield (
        f"A difference of {experiment.wanted * 100:g} percentage points is found with about {made.units_needed:,} "
        "people in both variants together (in 4 of 5 such tests): "
        f"{made.duration_days:,.0f} days at this traffic."
    )
    yield (
        "Half of the difference takes about four times as long. A larger one is seen earlier, since the report may be "
        "read at any time."
    )


def shadowed(report: ShadowReport) -> str:
    """What a new template made of the events of the last days."""
    if not report.renders:
        return f"Shadow {report.name}: nothing was composed by it in the last {SHADOW_DAYS} days"
    return (
        f"Shadow {report.name}, last {SHADOW_DAYS} days: {report.renders:,} composed beside the live ones and never "
        f"sent, {report.failed:,} failed, {report.differs:,} differ; {report.growth:+.1%} in size, the largest has "
        f"{report.largest:,} bytes"
    )


def as_json(found: Analysis) -> dict[str, object]:
    """The figures and sentences of the report."""
    known, shown = found.registered, found.now.interval
    decided = found.decided
    return {
        **asdict(known.experiment),
        "started_at": known.started_at.isoformat(),
        "stopped_at": known.stopped_at.isoformat() if known.stopped_at else None,
        "stop_reason": known.stop_reason,
        "verdict": found.verdict,
        "effect": found.now.effect,
        "interval": asdict(shown) if shown else None,
        "evidence": found.now.evidence,
        "decided_at": decided.at.isoformat() if decided else None,
        "sample_ratio": {"assigned": found.assigned_ratio.p_value, "sent": found.sent_ratio.p_value},
        "variants": [dict(zip(COLUMNS, row, strict=True)) for row in rows(found)],
        "meaning": list(meaning(found)),
    }
