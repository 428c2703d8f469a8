"""A provider whose name servers are silent delays no session to the mail server.

In a mount namespace of its own, whose resolver answers for the mail server alone. That needs root, as in a container.
"""

import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

ADDRESS, DNS_PORT, TYPE_A = f"127.0.99.{os.getpid() % 250 + 1}", 53, 1
MAIL = "mail.test"

_CODE = """
import asyncio, os, time, uvloop
from notification_service.bootstrap import threads
from tests.stack import example_channel

async def run():
    threads.give_each_its_own([example_channel.parts(1)] * {channels})
    loop = asyncio.get_running_loop()
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    dead = [asyncio.ensure_future(loop.getaddrinfo("api.silent.test", 443)) for _ in range(8)]
    await asyncio.sleep(0.5)
    try:
        async with asyncio.timeout(2):
            await asyncio.open_connection("mail.test", port)
    except TimeoutError:
        print("waits", flush=True)
    else:
        print("connected", flush=True)
    os._exit(0)  # the lookups would keep it

with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    runner.run(run())
"""


def _namespaces_work() -> bool:
    tool = shutil.which("unshare")
    return tool is not None and subprocess.run([tool, "-m", "true"], capture_output=True, check=False).returncode == 0


def _answer(question: bytes) -> bytes | None:
    """An answer (RFC 1035 §4) for the mail server, which has an address of IPv4 alone; None for any other name."""
    name, at = [], 12
    while length := question[at]:
        name.append(question[at + 1 : at + 1 + length].decode())
        at += length + 1
    if ".".join(name) != MAIL:
        return None
    is_a = struct.unpack("!H", question[at + 1 : at + 3])[0] == TYPE_A
    record = b"\xc0\x0c" + struct.pack("!HHIH", TYPE_A, 1, 1, 4) + socket.inet_aton("127.0.0.1")
    counts = struct.pack("!4H", 1, is_a, 0, 0)
    return question[:2] + b"\x81\x80" + counts + question[12 : at + 5] + (record if is_a else b"")


@pytest.fixture
def resolver(tmp_path: Path) -> Iterator[Path]:
    """The `resolv.conf` that names it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as heard:
        heard.bind((ADDRESS, DNS_PORT))
        heard.settimeout(0.2)
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                try:
                    question, who = heard.recvfrom(2048)
                except TimeoutError:
                    continue
                if answer := _answer(question):
                    heard.sendto(answer, who)

        thread = threading.Thread(target=serve)
        thread.start()
        conf = tmp_path / "resolv.conf"
        conf.write_text(f"nameserver {ADDRESS}\n")
        yield conf
        ended.set()
        thread.join()


@pytest.mark.skipif(not _namespaces_work(), reason="needs root and mount namespaces")
@pytest.mark.parametrize(("channels", "said"), [(0, "waits"), (1, "connected")])
def test_the_mail_server_s_name_is_resolved_while_a_provider_s_is_not(resolver: Path, channels: int, said: str) -> None:
    """Without the threads of their own, which no channel beside e-mail asks for, it would wait."""
    own = {name: value for name, value in os.environ.items() if name != "UV_THREADPOOL_SIZE"}
    command = 'mount --bind "$1" /etc/resolv.conf && exec "$2" -c "$3"'
    python = [sys.executable, _CODE.format(channels=channels)]
    done = subprocess.run(
        ["unshare", "-m", "--propagation", "private", "sh", "-c", command, "sh", str(resolver), *python],
        capture_output=True,
        text=True,
        check=True,
        env=own,
        timeout=60,
    )
    assert done.stdout.strip() == said
