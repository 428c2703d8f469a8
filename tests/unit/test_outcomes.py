"""The closed set of endings, and how they are written down and read back."""

from typing import get_args

import pytest

from notification_service.contract.outcomes import (
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
    Status,
    Summary,
    Unknown,
    recall,
    summarize,
    waits_for_a_person,
)
from notification_service.foundation.errors import StoreUnavailableError
from notification_service.stores.mongo.schema import VALIDATOR

EVERY: list[Outcome] = [
    Sent(),
    Sent(possible_duplicate=True),
    Simulated("outbox/x.eml"),
    *map(Skipped, SkipReason),
    Skipped(SkipReason.SUPPRESSED, "lift it"),
    Bounced("5.1.1", "no such user"),
    Bounced("550", ""),
    *(Rejected(reason, "why") for reason in RejectReason),
    *(Parked(reason, "why") for reason in ParkReason),
    Unknown("lost twice"),
]


def test_the_list_here_has_every_kind_of_outcome() -> None:
    assert {type(outcome) for outcome in EVERY} == set(get_args(Outcome))


@pytest.mark.parametrize("outcome", EVERY, ids=str)
def test_an_outcome_is_read_back_as_it_was_written(outcome: Outcome) -> None:
    assert recall(summarize(outcome)) == outcome


def test_every_outcome_is_told_apart_from_every_other() -> None:
    assert len({summarize(outcome) for outcome in EVERY}) == len(EVERY)


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Sent(), "sent"),
        (Simulated("x"), "pending"),
        (Skipped(SkipReason.EXPIRED), "failed"),
        (Bounced("5.1.1", ""), "failed"),
        (Rejected(RejectReason.SCHEMA, ""), "failed"),
        (Parked(ParkReason.RETRIES_EXHAUSTED, ""), "failed"),
        (Unknown(""), "pending"),
    ],
)
def test_its_status_is_one_of_the_deployed_validator(outcome: Outcome, status: str) -> None:
    assert summarize(outcome).status == status


def test_the_statuses_are_the_validators_three() -> None:
    assert {status.value for status in Status} == set(VALIDATOR["$jsonSchema"]["properties"]["status"]["enum"])


def test_only_a_servers_250_is_called_sent() -> None:
    assert {type(outcome) for outcome in EVERY if summarize(outcome).status is Status.SENT} == {Sent}


@pytest.mark.parametrize("word", ["skipped", "rejected", "parked"])
@pytest.mark.parametrize("reason", [None, "", "because", "unsubscribed "])
def test_the_reasons_are_a_closed_list(word: str, reason: str | None) -> None:
    with pytest.raises(ValueError, match="is not a valid"):
        recall(Summary(Status.FAILED, word, reason))


@pytest.mark.parametrize("word", ["", "pending", "waiting", "Sent", "failed"])
def test_an_unknown_outcome_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match="unknown outcome"):
        recall(Summary(Status.PENDING, word))


def test_a_person_is_asked_about_what_can_be_mended_or_is_not_known() -> None:
    assert {type(outcome) for outcome in EVERY if waits_for_a_person(outcome)} == {Rejected, Parked, Unknown}


def test_a_store_that_is_down_is_named() -> None:
    problem = StoreUnavailableError("Redis", "timed out")
    assert (problem.store, str(problem)) == ("Redis", "Redis cannot be reached: timed out")
