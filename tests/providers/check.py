"""`make provider-check`: judges the requests to the SMS providers by what others wrote.

Twilio's: Prism validates each by Twilio's own OpenAPI description. SNS's: moto takes the message as AWS would. Before
that, spoiled requests are shown to the judge, which has to refuse them.
"""

import asyncio
import contextlib
import json
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from notification_service.channels.http_client import HttpClient, Response
from notification_service.channels.sms.message import OutgoingSms
from notification_service.channels.sms.prices import Prices
from notification_service.channels.sms.sns.transport import Account as SnsAccount, SnsTransport
from notification_service.channels.sms.twilio.transport import Account as TwilioAccount, TwilioTransport
from notification_service.delivery.ports.channel import Accepted
from notification_service.delivery.ports.claims import Fence
from tests.stack import npm
from tests.stack.processes import free_port

FOLDER = Path(__file__).parent
SPEC = "node_modules/@twilio-alpha/mcp/twilio-oai/spec/json/twilio_api_v2010.json"
MOTO = FOLDER.parents[1] / "var" / "moto"
SID = "AC" + "1" * 32
NUMBER = "+4915112345678"
TEXT = "Booking cancelled: Größe € 🎬"


async def held() -> Fence:
    return Fence.HELD


def sms() -> OutgoingSms:
    until = datetime.now(UTC) + timedelta(hours=3)
    return OutgoingSms(
        notification_id="ab" * 16, template="t", recipient=NUMBER, content=TEXT.encode(), segments=1, valid_until=until
    )


def client() -> HttpClient:
    return HttpClient(tls=ssl.create_default_context(), timeout=30, max_connections=2)


@contextlib.contextmanager
def running(command: Sequence[str | Path], port: int, folder: Path) -> Iterator[str]:
    """A server on loopback, until it answers at all."""
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        url = f"http://127.0.0.1:{port}"
        try:
            for _ in range(300):
                with contextlib.suppress(OSError):
                    with contextlib.suppress(urllib.error.HTTPError):
                        urllib.request.urlopen(url, timeout=1)
                    break
                time.sleep(0.2)
            yield url
        finally:
            process.terminate()


def violations(answer: object) -> list[str]:
    """Of the request alone: what Prism makes up as an answer does not itself hold to the description."""
    if not isinstance(answer, Response):
        return [str(answer)]
    named = json.loads(answer.headers.get("sl-violations", "[]"))
    return [str(each) for each in named if each["location"][0] == "request"]


async def twilio(url: str) -> list[str]:
    """What Twilio's own description finds wrong."""
    http, found = client(), []
    for sender in ("+15005550006", "MG" + "2" * 32):
        account = TwilioAccount(
            sid=SID, user="SK1", password="s", sender=sender, callbacks="https://cb.example/cb/twilio", api=url
        )
        transport = TwilioTransport(http, account, Prices())
        sent = await transport.send_once(sms(), held)
        if not isinstance(sent, Accepted):
            found.append(f"a message from {sender}: {sent}")
        listed = await http.request(
            "GET",
            f"{account.messages}?To=%2B4915112345678&PageSize=20",
            headers={"authorization": account.authorization},
            before_handover=None,
        )
        found += [f"the list: {each}" for each in violations(listed)]
        for spoiled in (b"To=%2B4915112345678&Body=x&ValidityPeriod=soon", b"Body=x&From=%2B15005550006"):
            judged = await http.request(
                "POST",
                account.messages,
                headers={
                    "authorization": account.authorization,
                    "content-type": "application/x-www-form-urlencoded",
                },
                content=spoiled,
                before_handover=None,
            )
            if isinstance(judged, Response) and judged.status < 400:
                found.append(f"the judge does not refuse {spoiled!r}")
    await http.close()
    return found


async def sns(url: str) -> list[str]:
    """What moto has not taken as it was sent."""
    http = client()
    account = SnsAccount("eu-central-1", "AKIDEXAMPLE", "secret", sender_id="Cinema", endpoint=url)
    transport = SnsTransport(http, account, Prices({"DE": Decimal("0.08")}, Decimal("0.5")))
    sent = await transport.send_once(sms(), held)
    told = await transport.check()
    await http.close()
    kept = await asyncio.to_thread(_kept, url)
    taken = [(each["phone_number"], each["message"]) for each in kept]
    found = [] if isinstance(sent, Accepted) else [f"a message: {sent}"]
    found += [] if taken == [(NUMBER, TEXT)] else [f"moto kept {taken}"]
    return found + ([] if told else ["the check said nothing"])


def _kept(url: str) -> list[dict[str, str]]:
    with urllib.request.urlopen(f"{url}/moto-api/data.json") as answer:  # noqa: S310 - a server of ours
        kept: list[dict[str, str]] = json.load(answer)["sns"]["SMS"]
        return kept


def _moto() -> Path:
    """moto's server in an environment of its own: it is large, and nothing else needs it."""
    server = MOTO / "bin" / "moto_server"
    if not server.exists():
        subprocess.run([sys.executable, "-m", "venv", MOTO], check=True)
        pip = [str(MOTO / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "moto[server]==5.2.5"], check=True)
    return server


def main() -> int:
    if reason := npm.missing("make provider-check"):
        sys.stderr.write(f"{reason}\n")
        return 1
    folder, port = npm.installed(FOLDER), free_port()
    prism = ("node_modules/.bin/prism", "mock", "--errors", "--port", str(port), SPEC)
    with running(prism, port, folder) as url:
        found = [f"Twilio: {each}" for each in asyncio.run(twilio(url))]
    port = free_port()
    with running((_moto(), "-p", str(port)), port, FOLDER) as url:
        found += [f"SNS: {each}" for each in asyncio.run(sns(url))]
    sys.stdout.write("\n".join(found or ["Twilio and SNS: every request is as their descriptions have it"]) + "\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
