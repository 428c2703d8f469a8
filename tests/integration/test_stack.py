"""The instruments are tested before anything is measured with them."""

import asyncio
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path

import aio_pika
import aiosmtplib
import pytest
from aiormq.exceptions import AMQPConnectionError
from pymongo import MongoClient
from redis.asyncio import Redis as RedisClient
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError, TimeoutError as RedisTimeoutError

from tests.stack import smtp_server
from tests.stack.certificates import Certificate
from tests.stack.local import LocalStack
from tests.stack.processes import Part, PartFailedError, exchange
from tests.stack.proxy import Proxy
from tests.stack.rabbitmq import CHOICE
from tests.stack.smtp import SmtpServer
from tests.stack.smtp_ledger import JsonLines, message_id_of
from tests.stack.smtp_rules import Action, Rule, Stage

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with LocalStack(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture
def smtp(stack: LocalStack) -> Iterator[SmtpServer]:
    yield stack.smtp
    stack.smtp.clear()


@pytest.fixture
def proxy(stack: LocalStack) -> Iterator[Proxy]:
    with Proxy(stack.redis.port) as running:
        yield running


def a_mail(text: str = "Enjoy the film.\n") -> EmailMessage:
    message = EmailMessage()
    message["From"] = "tickets@cinema.example"
    message["To"] = "ann@guests.example"
    message["Subject"] = "Your tickets"
    message["Message-ID"] = f"<{time.monotonic_ns()}@cinema.example>"
    message.set_content(text)
    return message


async def send(smtp: SmtpServer, mail: EmailMessage, *, patience: float = 5, trust: bool = True) -> str:
    async with a_client(smtp, patience=patience, trust=trust) as client:
        _, reply = await client.send_message(mail)
        return reply


def a_client(smtp: SmtpServer, *, patience: float = 5, trust: bool = True) -> aiosmtplib.SMTP:
    context = ssl.create_default_context(cafile=str(smtp.ca_file)) if trust else ssl.create_default_context()
    return aiosmtplib.SMTP(
        hostname=smtp.host,
        port=smtp.port,
        start_tls=True,
        tls_context=context,
        username=smtp.username,
        password=smtp.password,
        timeout=patience,
    )


LOST_CONNECTION = (RedisConnectionError, RuntimeError)
"""uvloop has a RuntimeError for a write to a connection that has ended, where redis-py has not read of its end yet."""


def redis_client(port: int, *, timeout: float = 0.5) -> RedisClient:
    return RedisClient(port=port, socket_timeout=timeout, retry=Retry(NoBackoff(), 0), single_connection_client=True)


def gone(pid: int) -> bool:
    """Tell whether a process has ended; one that only waits to be reaped has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def becomes(condition: Callable[[], bool], timeout: float = 5) -> bool:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


# Each part serves, and survives its own end.


async def test_broker_keeps_what_was_confirmed_over_a_kill(stack: LocalStack) -> None:
    async with await aio_pika.connect(stack.amqp_url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue("kept", durable=True)
        kept = aio_pika.Message(b"ticket", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(kept, queue.name)
    await asyncio.to_thread(stack.broker.sync)
    before = stack.broker.pid
    await asyncio.to_thread(stack.broker.kill)
    with pytest.raises(AMQPConnectionError):
        await aio_pika.connect(stack.amqp_url)
    await asyncio.to_thread(stack.broker.restart)
    assert gone(before)
    async with await aio_pika.connect(stack.amqp_url) as connection:
        queue = await (await connection.channel()).get_queue("kept")
        message = await queue.get(no_ack=True)
        assert message is not None
        assert message.body == b"ticket"


async def test_a_reset_vhost_is_empty_and_apart_from_the_others(stack: LocalStack) -> None:
    urls = [stack.broker.add_vhost(name) for name in ("one", "two")]
    for url in urls:
        async with await aio_pika.connect(url) as connection:
            await (await connection.channel()).declare_queue("q")
    stack.broker.reset_vhost("one")
    assert [await has_queue(url, "q") for url in urls] == [False, True]
    assert {"one", "two"} <= set(stack.broker.ctl("list_vhosts").split())


async def test_the_broker_counts_the_clients_that_are_connected(stack: LocalStack) -> None:
    before = stack.broker.connections()
    async with await aio_pika.connect(stack.amqp_url):
        assert stack.broker.connections() == before + 1
    async with asyncio.timeout(30):
        while stack.broker.connections() > before:  # noqa: ASYNC110 - the broker notices it by itself
            await asyncio.sleep(0.05)


async def has_queue(url: str, name: str) -> bool:
    async with await aio_pika.connect(url) as connection:
        try:
            await (await connection.channel()).get_queue(name)
        except aio_pika.exceptions.ChannelNotFoundEntity:
            return False
        return True


def test_a_failing_rabbitmqctl_is_an_error(stack: LocalStack) -> None:
    with pytest.raises(PartFailedError, match="no_such_command"):
        stack.broker.ctl("no_such_command")


async def test_redis_forgets_over_a_kill(stack: LocalStack) -> None:
    async with redis_client(stack.redis.port) as client:
        await client.set("seat", "A1")
        assert await client.get("seat") == b"A1"
    stack.redis.kill()
    assert exchange(stack.redis.port, b"PING\r\n") == b""
    stack.redis.restart()
    async with redis_client(stack.redis.port) as client:
        assert await client.get("seat") is None


async def test_a_paused_part_is_silent_until_it_goes_on(stack: LocalStack) -> None:
    async with redis_client(stack.redis.port) as client:
        await client.ping()
        stack.redis.pause()
        try:
            with pytest.raises(RedisTimeoutError):
                await client.ping()
        finally:
            stack.redis.resume()
        assert await client.ping()


def test_mongodb_remembers_over_a_kill(stack: LocalStack) -> None:
    # As with the real one, a write is safe from a kill only once the journal has it: w:1 alone lost it here.
    with MongoClient[dict[str, object]](stack.mongodb_uri, journal=True) as client:
        client.cinema.tickets.insert_one({"_id": "A1"})
    stack.mongo.kill()
    stack.mongo.restart()
    with MongoClient[dict[str, object]](stack.mongodb_uri) as client:
        assert client.cinema.tickets.find_one() == {"_id": "A1"}


async def test_smtp_goes_on_in_the_same_ledger_after_a_kill(smtp: SmtpServer) -> None:
    await send(smtp, a_mail())
    smtp.kill()
    with (smtp.folder / "mails.jsonl").open("ab") as ledger:
        ledger.write(b'{"message_id": "<torn')
    accepted = len(smtp.mails())
    smtp.restart()
    await send(smtp, a_mail())
    assert len(smtp.mails()) == accepted + 1
    numbers = [note.connection for note in smtp.connections() if note.event == "open"]
    assert len(set(numbers)) == len(numbers)
    assert len({mail.file for mail in smtp.mails()}) == accepted + 1


# The supervisor.


class Broken(Part):
    name = "broken"

    def command(self) -> list[str]:
        return ["/bin/sh", "-c", "echo no such luck; exit 3"]

    def answers(self) -> bool:
        return False


class Deaf(Part):
    name = "deaf"

    def command(self) -> list[str]:
        return ["/bin/sh", "-c", "trap '' TERM; sleep 600 & echo up; wait; wait"]

    def answers(self) -> bool:
        return "up" in self.log.read_text()


def test_a_part_that_does_not_start_says_why(tmp_path: Path) -> None:
    with (
        pytest.raises(PartFailedError, match=r"(?s)broken ended .*exit code 3.*broken\.log.*no such luck"),
        Broken(tmp_path),
    ):
        pass


def test_a_part_that_never_answers_is_given_up(tmp_path: Path) -> None:
    deaf = Deaf(tmp_path)
    deaf.start()
    deaf.log.write_text("")
    deaf.answers = lambda: False  # type: ignore[method-assign]  # the shortest way to a part that hangs
    with pytest.raises(PartFailedError, match="did not answer within"):
        deaf.wait_ready(0.2)
    deaf.kill()


def test_a_part_that_ignores_sigterm_is_killed_with_its_children(tmp_path: Path) -> None:
    with Deaf(tmp_path) as deaf:
        group = deaf.pid
        assert members(group) >= 2
        deaf.stop(grace=0.2)
        assert becomes(lambda: members(group) == 0)


def members(group: int) -> int:
    """Count the living processes of a process group."""
    stats = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            stats.append(path.read_text().rpartition(")")[2].split())
        except (FileNotFoundError, ProcessLookupError):
            continue
    return sum(1 for state, _, found, *_ in stats if int(found) == group and state != "Z")


def test_parts_die_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from tests.stack.stores import Redis\n"
        "with Redis(Path(sys.argv[1])) as part: print(part.pid, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        pid = int(supervisor.stdout.readline())
        assert not gone(pid)
        supervisor.kill()
    assert becomes(lambda: gone(pid))


def test_sigterm_ends_the_stack_and_leaves_nothing(tmp_path: Path) -> None:
    inner = "trap 'echo drained; exit 7' TERM; echo $RABBITMQ_URL; while :; do sleep 0.05; done"
    command = [sys.executable, "-m", "tests.stack", "--folder", str(tmp_path), "--", "/bin/sh", "-c", inner]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline().startswith("amqp://guest")
        # What runs in another Debian's tree sees its folder elsewhere.
        assert processes_in(tmp_path) >= (3 if os.environ.get(CHOICE) else 5)
        supervisor.send_signal(signal.SIGTERM)
        assert supervisor.communicate(timeout=30)[0] == "drained\n"
    assert supervisor.returncode == 128 + signal.SIGTERM
    assert becomes(lambda: processes_in(tmp_path) == 0)


def processes_in(folder: Path) -> int:
    """Count the processes that work in a folder or below it."""
    found = 0
    for path in Path("/proc").glob("[0-9]*/cwd"):
        try:
            found += path.readlink().is_relative_to(folder)
        except (FileNotFoundError, PermissionError, ProcessLookupError):
            continue
    return found


# The SMTP server, as the service will meet it.


async def test_an_accepted_mail_is_in_the_ledger_and_on_disk(smtp: SmtpServer) -> None:
    mail = a_mail(".a dot\n..two dots\n\nÄ\n")
    await send(smtp, mail)
    entry = smtp.mails()[-1]
    assert entry.message_id == mail["Message-ID"]
    assert (entry.mail_from, entry.rcpt_to) == ("tickets@cinema.example", ["ann@guests.example"])
    assert (entry.tls, entry.auth) == (True, "mailer")
    assert entry.message().get_content().splitlines() == [".a dot", "..two dots", "", "Ä"]
    assert smtp.messages()[-1]["Subject"] == "Your tickets"


async def test_a_large_mail_comes_through_tls_whole(smtp: SmtpServer) -> None:
    mail = a_mail()
    mail.add_attachment(bytes(3_000_000), maintype="application", subtype="octet-stream", filename="film")
    await send(smtp, mail, patience=20)
    (attachment,) = smtp.messages()[-1].iter_attachments()
    assert attachment.get_content() == bytes(3_000_000)


async def test_the_ledger_has_the_mail_before_the_client_has_its_250(smtp: SmtpServer) -> None:
    mail = a_mail()
    smtp.script([Rule(at="dot", action="late", seconds=0.5)])
    async with a_client(smtp) as client:
        sending = asyncio.create_task(client.send_message(mail))
        while mail["Message-ID"] not in accepted_ids(smtp):
            assert not sending.done()
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        assert not sending.done()
        await sending


async def test_no_250_while_the_disk_has_not_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = threading.Event()
    monkeypatch.setattr(os, "fsync", lambda _: disk.wait(10))
    options = smtp_server.arguments(["--folder", str(tmp_path)])
    books = smtp_server.site(options, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    server = await asyncio.start_server(smtp_server.Server(books)._converse, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"EHLO me\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nHello\r\n.\r\n")
    await reader.readuntil(b"354 End with <CR><LF>.<CR><LF>\r\n")
    answer = asyncio.create_task(reader.readline())
    await asyncio.sleep(0.2)
    assert not answer.done()
    disk.set()
    assert (await answer).startswith(b"250")
    writer.close()
    await writer.wait_closed()
    server.close()
    assert await asyncio.to_thread(becomes, lambda: books.open == 0)
    books.close()


async def test_a_drop_after_the_dot_leaves_a_mail_that_the_client_knows_nothing_of(smtp: SmtpServer) -> None:
    mail = a_mail()
    smtp.script([Rule(at="dot", action="drop_after_accept", times=1)])
    with pytest.raises(aiosmtplib.SMTPServerDisconnected):
        await send(smtp, mail)
    assert accepted_ids(smtp).count(mail["Message-ID"]) == 1
    await send(smtp, mail)
    assert accepted_ids(smtp).count(mail["Message-ID"]) == 2


def accepted_ids(smtp: SmtpServer) -> list[str | None]:
    return [mail.message_id for mail in smtp.mails()]


STAGES: list[Stage] = ["greeting", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "dot"]


@pytest.mark.parametrize("at", STAGES)
@pytest.mark.parametrize("action", ["drop", "stall", "garbage"])
async def test_a_fault_at_any_stage_fails_that_mail_only(smtp: SmtpServer, at: Stage, action: Action) -> None:
    before = len(smtp.mails())
    smtp.script([Rule(at=at, action=action, times=1)])
    with pytest.raises(aiosmtplib.SMTPException):
        await send(smtp, a_mail(), patience=0.5)
    assert len(smtp.mails()) == before
    await send(smtp, a_mail())
    assert len(smtp.mails()) == before + 1


@pytest.mark.parametrize("at", [stage for stage in STAGES if stage != "greeting"])
async def test_a_scripted_reply_reaches_the_client_with_all_its_lines(smtp: SmtpServer, at: Stage) -> None:
    smtp.script([Rule(at=at, reply="451-4.3.0 Not now,\n451 4.3.0 come again")])
    with pytest.raises(aiosmtplib.SMTPException) as caught:
        await send(smtp, a_mail())
    error = caught.value
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        error = error.recipients[0]
    assert isinstance(error, aiosmtplib.SMTPResponseException)
    assert error.code == 451
    assert "Not now" in error.message
    assert "come again" in error.message


async def test_421_closes_the_connection(smtp: SmtpServer) -> None:
    smtp.script([Rule(at="greeting", reply="421 4.3.2 Shutting down")])
    with pytest.raises(aiosmtplib.SMTPConnectError, match="421"):
        await send(smtp, a_mail())
    assert becomes(lambda: smtp.stats().open == 0)


async def test_a_rule_may_name_whom_it_concerns(smtp: SmtpServer) -> None:
    smtp.script([Rule(at="rcpt", match="BEN@", reply="550 5.1.1 No such user")])
    await send(smtp, a_mail())
    mail = a_mail()
    mail.replace_header("To", "ben@guests.example")
    with pytest.raises(aiosmtplib.SMTPRecipientsRefused):
        await send(smtp, mail)


async def test_slow_means_byte_by_byte(smtp: SmtpServer) -> None:
    smtp.script([Rule(at="noop", action="slow", seconds=0.05)])
    reader, writer = await asyncio.open_connection("127.0.0.1", smtp.port)
    await reader.readline()
    writer.write(b"NOOP\r\n")
    begun = time.monotonic()
    assert await reader.read(100) == b"2"
    assert await reader.readline() == b"50 2.0.0 Ok\r\n"
    assert time.monotonic() - begun > 0.5
    writer.close()
    await writer.wait_closed()


async def test_an_unsolicited_reply_follows_the_answer(smtp: SmtpServer) -> None:
    smtp.script([Rule(at="noop", action="unsolicited", reply="250 2.0.0 Extra")])
    reader, writer = await asyncio.open_connection("127.0.0.1", smtp.port)
    writer.write(b"NOOP\r\nQUIT\r\n")
    replies = (await reader.read()).splitlines()
    assert replies[1:] == [b"250 2.0.0 Ok", b"250 2.0.0 Extra", b"221 2.0.0 Bye"]
    writer.close()
    await writer.wait_closed()


async def test_starttls_can_be_stripped(smtp: SmtpServer) -> None:
    smtp.script([Rule(at="starttls", action="strip")])
    with pytest.raises(aiosmtplib.SMTPException, match="STARTTLS"):
        await send(smtp, a_mail())


async def test_what_came_before_tls_is_not_taken_for_what_came_after(smtp: SmtpServer) -> None:
    context = ssl.create_default_context(cafile=str(smtp.ca_file))
    reader, writer = await asyncio.open_connection("127.0.0.1", smtp.port)
    await reader.readline()
    writer.write(b"STARTTLS\r\nNOOP\r\n")
    assert (await reader.readline()).startswith(b"220")
    await writer.start_tls(context, server_hostname="localhost")
    writer.write(b"QUIT\r\n")
    assert (await reader.readline()).startswith(b"221")
    writer.close()
    await writer.wait_closed()


async def test_mail_is_refused_without_tls_and_without_login(smtp: SmtpServer) -> None:
    async with aiosmtplib.SMTP(hostname=smtp.host, port=smtp.port, start_tls=False) as client:
        await client.ehlo()
        with pytest.raises(aiosmtplib.SMTPSenderRefused, match="STARTTLS"):
            await client.mail("a@cinema.example")
        await client.starttls(tls_context=ssl.create_default_context(cafile=str(smtp.ca_file)))
        with pytest.raises(aiosmtplib.SMTPSenderRefused, match="Authentication required"):
            await client.mail("a@cinema.example")
        with pytest.raises(aiosmtplib.SMTPAuthenticationError, match="535"):
            await client.login("mailer", "wrong")
        await client.auth_login("mailer", "secret")
        await client.mail("a@cinema.example")
        with pytest.raises(aiosmtplib.SMTPRecipientRefused, match=r"5\.6\.7"):
            await client.rcpt("jürgen@guests.example", encoding="utf-8")


@pytest.mark.parametrize("certificate", ["expired", "self-signed", "wrong-host"])
async def test_a_bad_certificate_is_bad_to_a_client_that_looks(tmp_path: Path, certificate: Certificate) -> None:
    with SmtpServer(tmp_path, certificate=certificate) as smtp:
        with pytest.raises(ssl.SSLCertVerificationError):
            await send(smtp, a_mail())
        smtp.certificate = "good"
        smtp.restart()
        await send(smtp, a_mail())
        with pytest.raises(ssl.SSLCertVerificationError):
            await send(smtp, a_mail(), trust=False)


async def test_options_of_the_server(tmp_path: Path) -> None:
    with SmtpServer(tmp_path, implicit_tls=True, require_auth=False, smtputf8=True, keep=False) as smtp:
        context = ssl.create_default_context(cafile=str(smtp.ca_file))
        async with aiosmtplib.SMTP(hostname=smtp.host, port=smtp.port, use_tls=True, tls_context=context) as client:
            await client.sendmail("a@cinema.example", ["jürgen@guests.example"], b"", mail_options=["SMTPUTF8"])
        (mail,) = smtp.mails()
    assert (mail.rcpt_to, mail.tls, mail.auth, mail.file) == (["jürgen@guests.example"], True, None, None)
    with pytest.raises(PartFailedError, match="does not keep"):
        mail.message()


def test_a_rule_that_makes_no_sense_is_refused(smtp: SmtpServer) -> None:
    with pytest.raises(ValueError, match="needs a reply"):
        Rule(at="mail")
    with pytest.raises(ValueError, match="needs seconds"):
        Rule(at="dot", action="late")
    with pytest.raises(ValueError, match="belongs to"):
        Rule(at="mail", action="strip")
    with pytest.raises(PartFailedError, match="nowhere"):
        smtp._order(do="script", rules=[{"at": "nowhere", "reply": "250 ok"}])


async def test_connections_and_rules_are_counted(smtp: SmtpServer) -> None:
    before = smtp.stats()
    smtp.script([Rule(at="rcpt", reply="450 4.2.1 Later", times=2)])
    for _ in range(2):
        with pytest.raises(aiosmtplib.SMTPRecipientsRefused):
            await send(smtp, a_mail())
    await send(smtp, a_mail())
    after = smtp.stats()
    assert after.connections - before.connections == 3
    assert after.mails - before.mails == 1
    assert after.counts["rule:rcpt:reply"] - before.counts.get("rule:rcpt:reply", 0) == 2
    assert smtp.connections()[-1].event == "close"


async def test_lines_that_come_together_share_an_fsync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    path = tmp_path / "ledger"

    def fsync(_: int) -> None:
        time.sleep(0.01)
        synced.append(path.read_bytes().count(b"\n"))

    monkeypatch.setattr(os, "fsync", fsync)
    ledger = JsonLines(path, sync=True)

    async def append(number: int) -> None:
        await ledger.append({"n": number})
        assert synced
        assert number in {json.loads(line)["n"] for line in path.read_text().splitlines()[: synced[-1]]}

    await asyncio.gather(*(append(number) for number in range(50)))
    ledger.close()
    assert synced[-1] == 50
    assert len(synced) < 5


def test_the_message_id_is_read_from_the_headers_only() -> None:
    folded = b"Subject: x\r\nmessage-id:\r\n <a@b>\r\n\r\nMessage-ID: <no@no>\r\n"
    assert message_id_of(folded) == "<a@b>"
    assert message_id_of(b"Subject: x\r\n\r\nMessage-ID: <no@no>\r\n") is None


# The proxy.


async def test_the_proxy_passes_cuts_and_serves_again(proxy: Proxy) -> None:
    async with redis_client(proxy.port) as client:
        assert await client.ping()
        proxy.cut()
        with pytest.raises(LOST_CONNECTION):
            await client.ping()
        assert await client.ping()
    assert proxy.accepted == 2


async def test_a_black_hole_is_silent_and_delivers_later(proxy: Proxy) -> None:
    async with redis_client(proxy.port) as old, redis_client(proxy.port) as new:
        await old.ping()
        proxy.black_hole()
        for client in (old, new):
            with pytest.raises(RedisTimeoutError):
                await client.incr("through-the-hole")
        proxy.flow()
        assert await old.ping()


async def test_refuse_lasts_until_flow(proxy: Proxy) -> None:
    async with redis_client(proxy.port) as client:
        await client.ping()
        proxy.refuse()
        for _ in range(2):
            with pytest.raises(LOST_CONNECTION):
                await client.ping()
        proxy.flow()
        assert await client.ping()


async def test_latency_and_slices_add_up(proxy: Proxy) -> None:
    async with redis_client(proxy.port, timeout=5) as client:
        await client.set("long", "x" * 30)
        begun = time.monotonic()
        await client.get("long")
        assert time.monotonic() - begun < 0.1
        proxy.latency, proxy.slice_size = 0.05, 10
        begun = time.monotonic()
        assert await client.get("long") == b"x" * 30
        assert time.monotonic() - begun > 0.05 * 6


async def test_a_lost_reply_is_of_a_command_that_was_done(proxy: Proxy, stack: LocalStack) -> None:
    async with redis_client(proxy.port) as client, redis_client(stack.redis.port) as witness:
        await client.delete("claim")
        proxy.lose_replies(after=b"INCR")
        assert await client.ping()
        with pytest.raises(RedisConnectionError):
            await client.incr("claim")
        assert await witness.get("claim") == b"1"
        assert await client.incr("claim") == 2
        proxy.lose_replies(cut=False)
        with pytest.raises(RedisTimeoutError):
            await client.incr("claim")
        assert await witness.get("claim") == b"3"
