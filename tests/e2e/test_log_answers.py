"""Every command of docs/ops/logs.md, run on the log of a service to which all of it has happened."""

import re
import shutil
import subprocess
from pathlib import Path

from tests.samples import fresh
from tests.stack import debian
from tests.stack.place import Place, until
from tests.stack.publisher import event
from tests.stack.smtp_rules import Rule

PAGE = Path(__file__).parents[2] / "docs" / "ops" / "logs.md"
COMMANDS = re.findall(r"^```sh\n(.*?)\n```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def answer(command: str, folder: Path) -> str:
    done = subprocess.run(
        ("bash", "-o", "pipefail", "-c", command), cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stderr}"
    return done.stdout


def test_every_command_of_the_page_answers(place: Place, tmp_path: Path) -> None:
    debian.need("jq")
    booked = fresh("booking.confirmed", booking_id="BOOK-1", user_email="jane@example.com")
    gone = fresh("booking.confirmed", user_email="gone@example.com")
    nobody = fresh("payment.success", user_id="nobody", booking_id="BOOK-nobody")
    place.smtp.script(
        [
            Rule(at="rcpt", match="jane@", reply="450 4.2.1 mailbox busy", times=1),
            Rule(at="rcpt", match="gone@", reply="550 5.1.1 no such user"),
            Rule(at="greeting", reply="421 4.7.0 try later", times=1),
        ]
    )
    late = fresh("booking.confirmed", user_email="late@example.com")
    with place.service() as service:
        place.publish(event(booked), event(gone), event(nobody), event(late))
        until(lambda: place.outcomes().get(booked["event_id"]) == "sent")
        until(lambda: place.outcomes().get(gone["event_id"]) == "bounced")
        until(lambda: place.outcomes().get(late["event_id"]) == "sent")
        until(lambda: place.depth("notification.parked") == 1)
        place.publish(event({**booked, "event_id": "second-report"}))
        until(lambda: service.said("event.duplicate"))
    shutil.copy(service.log, tmp_path / "service.log")
    assert len(COMMANDS) == PAGE.read_text("utf-8").count("```sh") > 10
    answers = {command: answer(command, tmp_path) for command in COMMANDS}

    def of(part: str) -> str:
        (found,) = [told for command, told in answers.items() if part in command]
        return found

    assert re.search(
        r"event\.retry_scheduled.*mailbox busy.*\n(.*\n)*.*notification\.closed\tbooking_confirmation\tsent",
        of("BOOK-1"),
    )
    assert "event.parked\trejected\tno_recipient" in of('"warning"')
    assert "mailbox busy" in of('"retry ')
    assert "\tclosed\topen\t" in of("channel.breaker")
    assert nobody["event_id"] in of("event.rejected")
    assert re.search(r"^1\t\S+:\d+ 550 bounced 550 5.1.1$", of("reduce inputs"), re.MULTILINE)
    assert "g***@example.com" in of('"bounced"')
    assert of("group_by(.notification_id)") == ""
    assert of("mail.resend") == ""
    assert "second-report" in of("event.duplicate")
    assert re.match(r"2 mails, p50 [\d.]+ ms, p99 [\d.]+ ms, longest [\d.]+ ms\n", of("p99"))
    assert "booking_confirmation\tsent\tBOOK-1" in of("[.duration_ms, .template")


def test_recipients_of_two_mails_and_resent_mails_are_found(tmp_path: Path) -> None:
    """What a healthy run does not hold, as lines of that shape."""
    debian.need("jq")
    closed = '{"event":"notification.closed","outcome":"sent","notification_id":"n","booking_id":"B","template":"t"}'
    resent = '{"event":"mail.resend","notification_id":"n","booking_id":"B","reason":"it may have gone out"}'
    (tmp_path / "service.log").write_text(f"{closed}\n{resent}\n{closed}\n")
    told = [answer(command, tmp_path) for command in COMMANDS if "group_by" in command or "mail.resend" in command]
    assert told[0] == "n\tB\tt\t\t2\n"
    assert told[1].split("\t")[1:] == ["mail.resend", "n", "B", "it may have gone out\n"]
