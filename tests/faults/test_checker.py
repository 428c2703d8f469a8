"""The independent checker finds each fault in logs that are made up to have it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults import checker
from tests.faults.checker import Fault, check, read_lines
from tests.stack.place import Place

pytestmark = pytest.mark.soak

ROOT = Path(__file__).parents[2]


def record(event_id: str, outcome: str = "sent", *, marked: bool = False, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - of a record
    mark = {"possible_duplicate": True} if marked else {}
    return {"event_ids": [event_id], "outcome": outcome, "message_id": f"<{event_id}>", **mark, **fields}


A, B = "<a>", "<b>"


@pytest.mark.parametrize(
    ("second", "mails", "faults"),
    [
        pytest.param([record("b")], [A, B], [], id="well"),
        pytest.param([record("b", marked=True)], [A, B], [], id="marked without need"),
        pytest.param([record("b", marked=True)], [A, B, B], [], id="twice and marked"),
        pytest.param([record("b", "parked")], [A], [], id="parked"),
        pytest.param([record("b", "parked", marked=True)], [A, B], [], id="parked after one in doubt"),
        pytest.param([record("b", "unknown", marked=True)], [A, B, B], [], id="unknown after two"),
        pytest.param([], [A], [Fault.NO_RECORD], id="no record"),
        pytest.param([], [A, B], [Fault.NO_RECORD, Fault.STRANGER], id="a mail without a record"),
        pytest.param([record("b")], [A, B, None], [Fault.STRANGER], id="a mail without an id"),
        pytest.param([record("b")], [A], [Fault.NO_MAIL], id="sent without a mail"),
        pytest.param([record("b", marked=True)], [A], [Fault.NO_MAIL], id="sent and marked without a mail"),
        pytest.param([record("b", "pending")], [A], [Fault.NEVER_ENDED], id="pending"),
        pytest.param([record("b", "waiting")], [A, B], [Fault.NEVER_ENDED], id="waiting"),
        pytest.param([record("b", "pending")], [A, B, B], [Fault.NEVER_ENDED, Fault.UNMARKED], id="twice and open"),
        pytest.param([record("b", "rejected")], [A], [Fault.NOT_SENT], id="rejected"),
        pytest.param([record("b", "bounced")], [A], [Fault.NOT_SENT], id="bounced"),
        pytest.param([record("b", "skipped")], [A], [Fault.NOT_SENT], id="skipped"),
        pytest.param([record("b", "an outcome of tomorrow")], [A], [Fault.NOT_SENT], id="unheard of"),
        pytest.param([record("b", "bounced")], [A, B], [Fault.NOT_SENT, Fault.UNSAID], id="bounced and sent"),
        pytest.param([record("b", "parked")], [A, B], [Fault.UNSAID], id="parked and sent"),
        pytest.param([record("b")], [A, B, B], [Fault.UNMARKED], id="twice without a mark"),
        pytest.param([record("b", possible_duplicate=False)], [A, B, B], [Fault.UNMARKED], id="twice, marked no"),
        pytest.param([record("b", "unknown")], [A, B, B], [Fault.UNMARKED], id="twice, unknown and without a mark"),
        pytest.param([record("b", marked=True)], [A, B, B, B], [Fault.MORE_THAN_TWO], id="three times"),
        pytest.param([record("b")], [A, B, B, B], [Fault.UNMARKED, Fault.MORE_THAN_TWO], id="three, unmarked"),
        pytest.param(
            [record("b"), record("b", message_id="<c>")], [A, B, "<c>"], [Fault.TWO_RECORDS], id="twice under two ids"
        ),
    ],
)
def test_each_fault_is_found(second: list[dict[str, Any]], mails: list[str | None], faults: list[Fault]) -> None:
    account = check({"a", "b"}, [record("a"), *second], mails)
    assert [finding.fault for finding in account.findings] == faults
    assert account.broken == bool(faults)
    assert account.lost == sum(fault in checker.LOSSES for fault in faults)


def test_a_run_in_which_nothing_was_confirmed_proves_nothing() -> None:
    assert [finding.fault for finding in check(set(), [], []).findings] == [Fault.NOTHING]


def test_the_figures() -> None:
    records = [record("a"), record("b", marked=True), record("c"), record("d", "parked"), record("e", "pending")]
    account = check(set("abcdef"), records, ["<a>", "<b>", "<b>", "<c>", "<c>", "<c>"])
    assert str(account) == (
        "6 events confirmed, 2 lost, 6 mails, 2 doubled, 1 doubled unmarked, 1 more than two, 1 marked, "
        "1 left to a person, 0 other faults"
    )
    assert [str(finding) for finding in account.findings] == [
        "f: confirmed, and no record speaks of it",
        "c: more than one mail, and its record does not say so (outcome 'sent')",
        "c: more than two mails (outcome 'sent')",
        "e: its record never came to an end (outcome 'pending')",
    ]


def test_an_incomplete_line_after_a_kill_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b'{"message_id": "<a>"}\n{"message_id": "<b')
    assert read_lines(tmp_path / "log") == [{"message_id": "<a>"}]
    assert read_lines(tmp_path / "none") == []


def test_it_imports_nothing_of_the_service() -> None:
    ours = (
        "sorted(name for name in sys.modules if name.split('.')[0] in ('notification_service', 'tests', 'benchmarks'))"
    )
    asked = [sys.executable, "-c", f"import sys, tests.faults.checker; print({ours})"]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['tests', 'tests.faults', 'tests.faults.checker']"


@pytest.mark.parametrize(("mails", "code"), [([A, B, B], 0), ([A, B, B, A], 1)], ids=["marked", "unmarked"])
def test_as_a_program(place: Place, tmp_path: Path, mails: list[str], code: int) -> None:
    place.database[checker.RECORDS].insert_many([record("a", _id="a"), record("b", marked=True, _id="b")])
    confirmed, accepted = tmp_path / "confirmed.jsonl", tmp_path / "mails.jsonl"
    confirmed.write_text("".join(f"{json.dumps({'event_id': each})}\n" for each in "ab"), "utf-8")
    accepted.write_text("".join(f"{json.dumps({'message_id': each})}\n" for each in mails), "utf-8")
    where = ("--mongodb", place.stack.mongodb_uri, "--database", place.database_name)
    command = (sys.executable, "-m", "tests.faults.checker", "--confirmed", str(confirmed), "--mails", str(accepted))
    done = subprocess.run((*command, *where), cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (code, "")
    assert done.stdout.startswith(
        f"2 events confirmed, 0 lost, {len(mails)} mails, {1 + code} doubled, {code} doubled unmarked"
    )
