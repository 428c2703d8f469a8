"""Start, readiness, draining, exit codes."""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from notification_service.contract.notification_rules import TEMPLATES
from notification_service.delivery.observer import Stage
from tests.samples import FOLDER, fresh
from tests.stack.place import Place, Service, until
from tests.stack.processes import free_port
from tests.stack.publisher import event
from tests.stack.smtp_rules import Rule

pytestmark = pytest.mark.cold


def ask(port: int, path: str) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as problem:
        return problem.code, json.load(problem)


def run(place: Place, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "notification_service", *arguments],
        env={"PATH": "/usr/bin:/bin", **place.environment(**changes)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=place.folder,
    )


def test_sigterm_lets_the_mails_in_hand_finish_and_exits_0(place: Place) -> None:
    data = fresh("booking.confirmed")
    place.smtp.script([Rule(at="dot", action="late", seconds=2)])
    service = place.service()
    with service:
        place.publish(event(data))
        until(place.mails)
        service.terminate()
        assert until(lambda: service.exit_code, timeout=10) == "0"
    assert place.outcomes() == {data["event_id"]: "sent"}
    assert service.said("service.drained")[0]["unfinished"] == 0


def test_what_cannot_finish_within_the_grace_period_stays_in_the_queue(place: Place) -> None:
    data = fresh("booking.confirmed")
    place.smtp.script([Rule(at="rcpt", action="stall")])
    service = place.service(SHUTDOWN_GRACE="1")
    with service:
        place.publish(event(data))
        until(lambda: place.outcomes() == {data["event_id"]: "pending"})
        service.terminate()
        assert until(lambda: service.exit_code, timeout=10) == "0"
    assert place.depth("notification.booking_events") == 1
    assert place.depth("notification.parked") == 0
    place.smtp.clear()
    with place.service():
        until(lambda: place.outcomes() == {data["event_id"]: "sent"})
    assert len(place.mails()) == 1
    record = place.record(data["event_id"])
    assert record is not None
    assert "possible_duplicate" not in record


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"SMTP_PORT": "many"}, "SMTP_PORT"),
        ({"DELIVERY_MODE": "live", "SMTP_SERVER": ""}, "SMTP_SERVER"),
        ({"SMTP_CA_FILE": "/nowhere/ca.pem"}, "SMTP_CA_FILE"),
        ({"TEMPLATES_DIR": "/nowhere"}, "TEMPLATES_DIR"),
        ({"DEFAULT_TIME_ZONE": "Mars/Olympus"}, "DEFAULT_TIME_ZONE"),
    ],
)
def test_a_wrong_setting_exits_78_with_one_line_that_names_it(
    place: Place, changes: dict[str, str], named: str
) -> None:
    ended = run(place, "run", **changes)
    assert ended.returncode == 78
    assert named in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert "Traceback" not in ended.stdout


def test_a_bad_template_stops_the_start_with_its_file_and_line(place: Place) -> None:
    templates = place.folder / "templates"
    shutil.copytree(FOLDER.parent, templates)
    broken = templates / "payment_failed" / "body.txt"
    broken.write_text("first line\n{{ event.no_such_field }}\n")
    ended = run(place, "run", TEMPLATES_DIR=str(templates))
    assert ended.returncode == 78
    assert f"{broken}:2" in ended.stderr


@pytest.mark.parametrize(
    ("setting", "value"), [("RABBITMQ_URL", "amqp://127.0.0.1:{port}/"), ("MONGODB_URI", "mongodb://127.0.0.1:{port}")]
)
def test_a_dependency_that_never_comes_up_exits_69_and_is_named(place: Place, setting: str, value: str) -> None:
    ended = run(place, "run", STARTUP_TIMEOUT="1", **{setting: value.format(port=free_port())})
    assert ended.returncode == 69
    assert setting in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_taken_port_exits_78(place: Place) -> None:
    with place.service() as service:
        ended = run(place, "run", PORT=str(service.port), HTTP_HOST="127.0.0.1")
    assert ended.returncode == 78
    assert "PORT" in ended.stderr


def test_it_is_alive_before_its_dependencies_are_and_says_what_it_waits_for(place: Place) -> None:
    service = place.service(RABBITMQ_URL=f"amqp://127.0.0.1:{free_port()}/")
    service.start()
    until(lambda: service.said("broker.unavailable"))
    assert ask(service.port, "/livez")[0] == 200
    status, page = ask(service.port, "/readyz")
    assert (status, page["status"]) == (503, "DOWN")
    assert page["parts"]["rabbitmq"]["ok"] is False


def metrics(service: Service) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{service.port}/metrics", timeout=5) as answer:
        return str(answer.read().decode())


def test_the_probes_and_the_counts(place: Place) -> None:
    data = fresh("booking.confirmed")
    with place.service(DEFAULT_TIME_ZONE="Europe/Madrid") as service:
        place.publish(event(data))
        until(lambda: place.outcomes() == {data["event_id"]: "sent"})
        for path in ("/health", "/actuator/health", "/readyz", "/livez"):
            status, page = ask(service.port, path)
            assert (status, page["status"]) == (200, "UP"), path
        # The outcome is written before the delivery is acked, and counted after it.
        until(lambda: "notification_events_total{" in metrics(service))
        counts = metrics(service)
    for line in (
        'notification_events_total{event_type="booking.confirmed",outcome="sent"} 1.0',
        'notifications_total{channel="smtp",outcome="sent",reason="",template="booking_confirmation"} 1.0',
        'notification_smtp_replies_total{provider="custom",relay="",reply="2xx"} 1.0',
        'notification_accepted_delay_seconds_count{template="booking_confirmation"} 1.0',
        "notification_before_show_minutes_count 1.0",
        'notification_smtp_connections{relay=""} 1.0',
        'notification_smtp_talking{relay=""} 0.0',
        "notification_consuming 1.0",
        'notification_breaker_state{channel="smtp",relay="",state="closed"} 1.0',
        'notification_store_away{store="redis"} 0.0',
        *(f'notification_stage_seconds_count{{stage="{stage}"}} 1.0' for stage in Stage),
    ):
        assert line in counts.splitlines(), line


def test_an_unavailable_channel_is_degraded_and_not_unready(place: Place) -> None:
    with place.service(SMTP_PASSWORD="wrong") as service:
        place.publish(event(fresh("booking.confirmed")))
        until(lambda: service.said("channel.breaker"))
        status, page = ask(service.port, "/readyz")
    assert (status, page["status"]) == (200, "DEGRADED")
    assert "535" in page["parts"]["smtp"]["detail"]


def test_send_test_says_what_the_server_answered(place: Place) -> None:
    ended = run(place, "send-test", "--to", "me@example.com", "--template", "all")
    assert ended.returncode == 0
    assert ended.stdout.count("sent ") == len(TEMPLATES)
    assert "250" in ended.stdout
    assert [mail.rcpt_to for mail in place.mails()] == [["me@example.com"]] * len(TEMPLATES)
    refused = run(place, "send-test", "--to", "me@example.com", SMTP_PASSWORD="wrong")
    assert refused.returncode == 1
    assert "535" in refused.stdout


def test_the_doctor_finds_what_is_wrong_and_says_what_to_do(place: Place) -> None:
    well = run(place, "doctor")
    assert well.returncode == 0, well.stdout
    ill = run(place, "doctor", SMTP_PASSWORD="wrong", RABBITMQ_URL=f"amqp://127.0.0.1:{free_port()}/")
    assert ill.returncode == 69
    assert ill.stdout.count("WRONG") == 2
    assert "SMTP_PASSWORD" in ill.stdout
    assert "RABBITMQ_URL" in ill.stdout


def test_demo_and_preview_need_no_server(tmp_path: Path) -> None:
    def offline(*arguments: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "notification_service", *arguments],
            env={"PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            cwd=tmp_path,
        ).stdout

    assert "5 mails for 8 events" in offline("demo")
    assert len(list((tmp_path / "outbox").glob("*.eml"))) == len(TEMPLATES)
    offline("preview", "pages")
    written = {path.suffix for path in (tmp_path / "pages").iterdir()}
    assert written == {".html", ".txt", ".eml"}
    assert "<figure" in (tmp_path / "pages" / "phone.html").read_text("utf-8")


def test_a_start_takes_little_time(place: Place) -> None:
    """Not a timed test: the bound is a multiple of what it takes, and catches only a sleep or a lookup."""
    with place.service():
        pass
    started = time.monotonic()
    with place.service():
        assert time.monotonic() - started < 15


def test_the_health_check_of_the_image_needs_no_command_line(place: Place, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "notification_service.observability.liveness"]
    with place.service() as service:
        environment = {**os.environ, "PORT": str(service.port)}
        assert subprocess.run(command, env=environment, cwd=tmp_path, check=False).returncode == 0
    gone = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (gone.returncode, f":{service.port}/livez" in gone.stderr) == (1, True)
    wrong = {**environment, "PORT": "many"}
    refused = subprocess.run(command, env=wrong, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (refused.returncode, "PORT" in refused.stderr, "Traceback" in refused.stderr) == (1, True, False)
