"""A provider's list of addresses is brought in: in its own columns, bounded, and with each bad line named."""

from datetime import timedelta

import pytest

from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.suppressions import Cause
from notification_service.records import suppression_list
from notification_service.records.suppression_list import ImportReport, Origin, UnusableListError
from notification_service.stores.memory.suppressions import MemorySuppressions

ORIGIN = Origin(ChannelKind.EMAIL, Cause.COMPLAINED, "sendgrid")
TIME = timedelta(days=30)


async def bring_in(text: str, store: MemorySuppressions, origin: Origin = ORIGIN) -> ImportReport:
    return await suppression_list.bring_in(store, text.splitlines(keepends=True), origin)


@pytest.mark.parametrize(
    "text",
    [
        "email,created\njane@guests.example,2026-11-20T10:00:00Z\n",
        'status,reason,email,created\n5.1.1,"550, no such user",jane@guests.example,1763632800\n',
        "\ufeffAddress,Code,Error,Created_at\r\n<JANE@guests.example>,605,,2026-11-20 10:00:00 UTC\r\n",
        "Recipient\njane@guests.example\n\n",
        'address,code,error,created_at\njane@guests.example,550,"no, none","Fri, 20 Nov 2026 11:02:55 UTC"\n',
        "EMAIL;STATUS;CREATED\njane@guests.example;5.1.1;2026-11-20\n",
        "email\tstatus\njane@guests.example\t5.1.1\n",
    ],
)
async def test_the_columns_of_a_provider_are_known_by_their_names(text: str) -> None:
    store = MemorySuppressions()
    assert (await bring_in(text, store)).added == 1
    known = await store.known(ChannelKind.EMAIL, "jane@guests.example")
    (line,) = suppression_list.lines([known], TIME)
    assert line.state == "until lifted"
    assert line.latest is not None
    assert line.latest.source == "sendgrid"


async def test_a_bad_line_is_named_without_its_address_and_keeps_no_other_out() -> None:
    lines = ["email,created", "jane@guests.example,", "jane@@guests.example,", ",", "john@guests.example,yesterday"]
    report = await bring_in("\n".join([*lines, "june@guests.example,2026-11-20"]), MemorySuppressions())
    assert (report.added, report.known, report.unusable) == (2, 0, 3)
    assert [fault.partition(":")[0] for fault in report.faults] == ["line 3", "line 4", "line 5"]
    assert "jane@" not in str(report.faults)
    assert "john" not in str(report.faults)


async def test_of_many_bad_lines_the_first_are_named_and_all_are_counted() -> None:
    report = await bring_in("email\n" + "nobody\n" * 100, MemorySuppressions())
    assert (len(report.faults), report.unusable) == (20, 100)


async def test_the_same_file_twice_adds_nothing_and_does_not_undo_a_lift() -> None:
    store, text = MemorySuppressions(), "email\njane@guests.example\njohn@guests.example\n"
    await bring_in(text, store)
    known = await store.known(ChannelKind.EMAIL, "jane@guests.example")
    found = suppression_list.liftable(suppression_list.lines([known], TIME), None)
    await suppression_list.lift(store, found, by="jane", reason="she asked")
    report = await bring_in(text, store)
    assert (report.added, report.known) == (0, 2)
    (line,) = suppression_list.lines([await store.known(ChannelKind.EMAIL, "jane@guests.example")], TIME)
    assert line.state.endswith("by jane")


async def test_an_old_bounce_of_a_list_does_not_count_and_is_kept() -> None:
    store = MemorySuppressions()
    await bring_in(
        "email,created\njane@guests.example,2020-01-01\n", store, Origin(ChannelKind.EMAIL, Cause.GONE, "ses")
    )
    (line,) = suppression_list.lines([await store.known(ChannelKind.EMAIL, "jane@guests.example")], TIME)
    assert line.state == "over"


@pytest.mark.parametrize(
    "text", ["", "name,created\nJane,2026-11-20\n", 'email\n"jane@guests.example\n', "jane@guests.example\n"]
)
async def test_a_file_that_is_no_list_is_refused_as_a_whole(text: str) -> None:
    with pytest.raises(UnusableListError):
        await bring_in(text, MemorySuppressions())


async def test_a_file_of_too_many_lines_is_refused() -> None:
    lines = ("email\n" if not at else "\n" for at in range(suppression_list.MAX_LINES + 2))
    with pytest.raises(UnusableListError, match="split it"):
        await suppression_list.bring_in(MemorySuppressions(), lines, ORIGIN)


async def test_who_unsubscribed_is_not_lifted_with_the_rest() -> None:
    store = MemorySuppressions()
    for cause in (Cause.BY_HAND, Cause.UNSUBSCRIBED):
        await bring_in("email\njane@guests.example\n", store, Origin(ChannelKind.EMAIL, cause, "ses"))
    lines = suppression_list.lines([await store.known(ChannelKind.EMAIL, "jane@guests.example")], TIME)
    assert [each.entry.cause for each in suppression_list.liftable(lines, None)] == [Cause.BY_HAND]
    assert [each.entry.cause for each in suppression_list.liftable(lines, Cause.UNSUBSCRIBED)] == [Cause.UNSUBSCRIBED]
