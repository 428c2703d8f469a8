"""What is written to the log, by us and by every library: JSON lines, no secret, no address, no local variable."""

import io
import json
import logging as stdlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import structlog

from notification_service.observability import logging
from notification_service.observability.logging import Redaction
from notification_service.settings import LogFormat

SECRETS = ("canary-smtp", "amqp://user:canary-rabbit@localhost:5672/", "canary-rabbit")
EVERYTHING = ("canary", "jane.smith", "localpart")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where the log goes; the process's own logging comes back afterwards."""
    root = stdlib.getLogger()
    before = (root.handlers[:], root.level)
    yield io.StringIO()
    root.handlers[:], level = before
    root.setLevel(level)
    structlog.reset_defaults()


def configured(stream: io.StringIO, style: LogFormat = LogFormat.JSON, level: str = "INFO") -> Any:  # noqa: ANN401 - structlog's own
    logging.configure(level=level, style=style, secrets=SECRETS, stream=stream)
    return structlog.get_logger("tests.logging")


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@dataclass
class Holder:
    address: str


def fail_with(localpart: str, password: str) -> None:
    raise RuntimeError(f"could not log in as {localpart} with {password}")


# ── JSON ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_line_is_json_with_when_how_grave_and_what_first(stream: io.StringIO) -> None:
    configured(stream).info("notification.closed", outcome="sent", code=None)
    (line,) = lines(stream)
    assert list(line)[:3] == ["timestamp", "level", "event"]
    assert line["timestamp"].endswith("Z")
    assert (line["event"], line["level"], line["outcome"], line["logger"]) == (
        "notification.closed",
        "info",
        "sent",
        "tests.logging",
    )
    assert "code" not in line


def test_what_is_bound_to_the_job_stands_on_each_of_its_lines(stream: io.StringIO) -> None:
    log = configured(stream)
    with structlog.contextvars.bound_contextvars(event_id="e1"):
        log.info("a")
        stdlib.getLogger("aio_pika").warning("b")
    log.info("c")
    assert [line.get("event_id") for line in lines(stream)] == ["e1", "e1", None]


def test_a_pipe_gets_json_and_no_colours(stream: io.StringIO) -> None:
    configured(stream, LogFormat.AUTO).warning("x", text="é\n\x1b[31m")
    (line,) = lines(stream)
    assert line["text"] == "é\n\x1b[31m"
    assert stream.getvalue().count("\n") == 1
    assert "\x1b" not in stream.getvalue()


def test_the_console_is_for_people(stream: io.StringIO) -> None:
    configured(stream, LogFormat.CONSOLE).info("notification.closed", outcome="sent", to="jane.smith@example.com")
    text = stream.getvalue()
    assert "notification.closed" in text
    assert "outcome=sent" in text
    assert "jane.smith" not in text
    assert not text.startswith("{")


def test_below_the_level_nothing_is_written_and_noisy_libraries_only_warn(stream: io.StringIO) -> None:
    log = configured(stream, level="WARNING")
    log.info("x")
    stdlib.getLogger("aio_pika.robust").info("x")
    assert stream.getvalue() == ""
    configured(stream, level="DEBUG")
    for name in ("aio_pika", "aiormq.connection", "pymongo.topology", "redis", "asyncio", "uvicorn"):
        stdlib.getLogger(name).info("noise")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("text", ["\ud800", "a\udfff", "\0", "\x1b[2J", "\u2028", "日本"])
def test_no_text_costs_its_line(text: str, tmp_path: Any) -> None:  # noqa: ANN401 - a path, given by pytest
    before = stdlib.getLogger().handlers[:]
    path = tmp_path / "log"
    with path.open("w", encoding="utf-8") as file:
        logging.configure(style=LogFormat.JSON, stream=file)
        structlog.get_logger("tests").warning("event.rejected", event_id=text)
        stdlib.getLogger("aio_pika").error("%s", text)
    stdlib.getLogger().handlers[:] = before
    structlog.reset_defaults()
    assert len([json.loads(line) for line in path.read_text("utf-8").split("\n") if line]) == 2


# ── secrets and addresses ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("style", [LogFormat.JSON, LogFormat.CONSOLE])
def test_no_secret_and_no_address_passes_in_whatever_form(stream: io.StringIO, style: LogFormat) -> None:
    log = configured(stream, style)
    secret, address = "canary-smtp", "jane.smith@example.com"
    sentence = f"with {secret} to {address}"
    log.warning(sentence)
    log.warning("x", text=f"{secret} {address}", deep={"a": [{"b": (secret, address)}]})
    log.warning("x", problem=RuntimeError(f"{secret} {address}"))
    log.warning("x", holder=Holder(address), raw=f"{secret} {address}".encode(), several={address})
    log.warning("to %s", address)
    log.warning("x", url="amqp://other:canary-2@host/", mongo="mongodb://u:canary@3@h1,h2/?a=b", plain="canary-rabbit")
    with structlog.contextvars.bound_contextvars(recipient=address):
        log.warning("x")
    assert not [word for word in EVERYTHING if word in stream.getvalue()]
    assert "j***@example.com" in stream.getvalue()


@pytest.mark.parametrize("style", [LogFormat.JSON, LogFormat.CONSOLE])
@pytest.mark.parametrize(
    "name", ["aio_pika.connection", "aiormq", "pymongo.connection", "redis", "third.party", "asyncio"]
)
def test_the_libraries_go_through_the_same_redaction(stream: io.StringIO, style: LogFormat, name: str) -> None:
    configured(stream, style)
    log = stdlib.getLogger(name)
    log.error("Connection to %s failed for %r", "amqp://user:canary-rabbit@localhost:5672/", {"p": "canary-smtp"})
    log.error("reconnecting %(url)s", {"url": "amqps://u:canary-x@broker:5671/vhost"})
    try:
        fail_with("jane.smith@example.com", "canary-smtp")
    except RuntimeError:
        log.exception("to %s", "jane.smith@example.com")
    assert stream.getvalue()
    assert not [word for word in EVERYTHING[:2] if word in stream.getvalue()]


@pytest.mark.parametrize("style", [LogFormat.JSON, LogFormat.CONSOLE])
def test_a_traceback_shows_no_local_variable(stream: io.StringIO, style: LogFormat) -> None:
    log = configured(stream, style)
    try:
        hidden = "local-" + "variable"
        fail_with("jane.smith@example.com", f"canary-smtp{hidden[:0]}")
    except RuntimeError:
        log.exception("job.failed")
    text = stream.getvalue()
    assert "local-variable" not in text
    assert "fail_with" in text
    assert "RuntimeError" in text
    assert not [word for word in EVERYTHING[:2] if word in text]


def test_a_chain_of_exceptions_is_redacted_whole(stream: io.StringIO) -> None:
    log = configured(stream)
    try:
        try:
            fail_with("jane.smith@example.com", "canary-smtp")
        except RuntimeError as first:
            raise ValueError("while telling jane.smith@example.com") from first
    except ValueError:
        log.exception("job.failed")
    (line,) = lines(stream)
    assert [each["exc_type"] for each in line["exception"]] == ["ValueError", "RuntimeError"]
    assert not [word for word in EVERYTHING[:2] if word in stream.getvalue()]


def test_the_longest_secret_goes_first() -> None:
    assert Redaction(["abc-1234", "xabc-1234x"]).text("xabc-1234x abc-1234") == "[secret] [secret]"


def test_an_empty_secret_hides_nothing() -> None:
    assert Redaction(["", "abc"]).text("text") == "text"


@pytest.mark.parametrize("secret", ["guest", "a", "sent", "postgres", "Password"])
def test_a_weak_secret_takes_no_word_from_a_line(stream: io.StringIO, secret: str) -> None:
    logging.configure(style=LogFormat.JSON, secrets=[secret], stream=stream)
    said = f"a {secret} was sent to the guest of a cinema, as Password: a new one of postgres"
    structlog.get_logger("tests.logging").info("notification.closed", detail=said, password=secret, deep=[secret])
    (line,) = lines(stream)
    assert (line["event"], line["level"], line["detail"]) == ("notification.closed", "info", said)
    assert (line["password"], line["deep"]) == ("[secret]", ["[secret]"])


def test_numbers_and_truths_stay_what_they_are() -> None:
    event = {"n": 1, "f": 1.5, "t": True, "none": None}
    assert Redaction(["1"])(None, "", dict(event)) == event


@pytest.mark.parametrize(
    "text",
    [
        "a." * 100_000 + "://",
        "://" * 60_000,
        "a://b" * 40_000,
        "x" * 200_000 + " @",
        "a@" + "." * 200_000,
        "@:/" * 60_000,
    ],
    ids=lambda text: text[:6],
)
def test_no_text_takes_long_to_redact(text: str) -> None:
    started = time.perf_counter()
    Redaction(SECRETS).text(text)
    assert time.perf_counter() - started < 0.5


@pytest.mark.parametrize("at", ["%40", "%2540", "\\u0040", "&#64;", "&#x40;", "&commat;", "\uff20"])
def test_an_address_with_an_encoded_at_is_masked(at: str) -> None:
    line = Redaction()(None, "", {"event": "x", "problem": f"GET /v1/jane.smith{at}example.com?x=40.5 n=405.25"})
    assert line["problem"] == f"GET /v1/j***{at}example.com?x=40.5 n=405.25"


def test_an_address_and_a_secret_are_hidden_in_the_keys_of_a_mapping_too() -> None:
    line = Redaction(["Zt7!q/Lw9@x#K2&p"])(
        None, "", {"event": "x", "left": {"jane@x.example": {"Zt7!q/Lw9@x#K2&p": 1}}}
    )
    assert line["left"] == {"j***@x.example": {"[secret]": 1}}
