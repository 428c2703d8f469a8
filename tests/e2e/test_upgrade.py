"""Records, claims, waiting and parked events of the version before are read, replayed and reconciled by this one."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.faults.judge import Judge
from tests.samples import fresh
from tests.stack import earlier
from tests.stack.inspection import end_well
from tests.stack.place import Place, Service, until
from tests.stack.smtp_rules import Rule

SETTINGS = {"LEASE_SECONDS": "2", "MAX_RETRY_ATTEMPTS": "1", "RETRY_RUNGS": "15"}
"""One retry after 15 s: what waits when the version before is killed, waits until this one is there."""


class Earlier(Service):
    """The version before as a child. `-P`: the folder that it is started in does not come before PYTHONPATH."""

    def __init__(self, code: Path, folder: Path, environment: Mapping[str, str]) -> None:
        super().__init__(folder, {**environment, "PYTHONPATH": str(code)})

    def command(self) -> tuple[str, ...]:
        return (sys.executable, "-P", "-m", "notification_service", "run")


def told(place: Place, *arguments: str) -> Any:  # noqa: ANN401 - whatever JSON holds
    ended = subprocess.run(
        [sys.executable, "-m", "notification_service", *arguments, "--json"],
        env={"PATH": "/usr/bin:/bin", **place.environment(**SETTINGS)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=place.folder,
        stdin=subprocess.DEVNULL,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


@pytest.mark.soak
@pytest.mark.skipif(earlier.missing() is not None, reason=earlier.missing() or "")
def test_what_the_version_before_left_is_read_replayed_and_reconciled(place: Place, tmp_path: Path) -> None:
    code = earlier.unpacked(tmp_path / "earlier")
    booked = {
        name: fresh("booking.confirmed", user_email=f"jane@{name}.example")
        for name in ("sent", "bounced", "waiting", "accepted", "refused", "begun")
    }
    nobody = fresh("payment.success", user_id="late-user", booking_id="BOOK-late")
    ids = {data["event_id"]: name for name, data in booked.items()} | {nobody["event_id"]: "rejected"}
    place.smtp.script(
        [
            Rule(at="rcpt", match="@bounced", reply="550 5.1.1 no such user"),
            Rule(at="dot", match="@waiting", reply="451 4.3.0 not now"),
            Rule(at="dot", match="@accepted", action="late", seconds=60),  # the server has it, and nobody hears so
            Rule(at="dot", match="@refused", action="stall"),
            Rule(at="rcpt", match="@begun", action="stall"),
        ]
    )
    judge = Judge(place)

    def outcomes() -> dict[str, str]:
        return {ids[event]: outcome for event, outcome in place.outcomes().items()}

    before = place.service(lambda *where: Earlier(code, *where), **SETTINGS)
    with before:
        judge.publish(*booked.values(), nobody)
        left = {name: name for name in ("sent", "bounced", "waiting", "rejected")}
        left |= dict.fromkeys(("accepted", "refused", "begun"), "pending")
        until(lambda: outcomes() == left)
        until(lambda: sorted(judge.undecided().values()) == ["claimed", "sending", "sending"])
        until(lambda: any("accepted" in to for mail in place.mails() for to in mail.rcpt_to))
        before.kill()
    assert b"event.waits" in before.log.read_bytes(), "the words of the version before"
    place.smtp.clear()

    found = told(place, "find", "--since", "1h")["records"]
    assert {ids[each["event_id"]]: each["outcome"] for each in found} == left
    (parked,) = told(place, "parked", "list")["events"]
    assert (parked["event_id"], parked["reason"]) == (nobody["event_id"], "rejected(no_recipient)")
    (bounced,) = told(place, "bounced", "list", "--since", "1h")["notifications"]
    assert bounced["event_id"] == booked["bounced"]["event_id"]

    with place.service(**SETTINGS) as after:
        done = left | dict.fromkeys(("waiting", "accepted", "refused", "begun"), "sent")
        until(lambda: outcomes() == done)
        judge.publish(*booked.values(), nobody)  # every event once more: its record has the same id
        place.database["users"].insert_one({"_id": "late-user", "email": "late@example.com"})
        told(place, "parked", "replay", "--yes", "--event", nobody["event_id"])
        told(place, "bounced", "replay", "--yes", "--event", booked["bounced"]["event_id"])
        until(lambda: set(outcomes().values()) == {"sent"})
        until(judge.at_rest)
        end_well(after)
    assert len(place.records()) == len(ids)
    marks = {ids[each["event_id"]]: bool(each.get("possible_duplicate")) for each in place.records()}
    assert {name for name, marked in marks.items() if marked} == {"accepted", "refused"}
    assert len(place.mails()) == len(ids) + 1, "the one that was accepted while its sender died is there twice"
    report = judge.balance()
    assert report.balanced, [finding.text for finding in report.findings]
