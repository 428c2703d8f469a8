"""A double of AWS SNS on loopback: it keeps what it took, in order, and drops answers as a test asks."""

import re
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs

from tests.stack.threaded_server import ThreadedServer

_SIGNED = re.compile(
    r"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/\d{8}/eu-central-1/sns/aws4_request, SignedHeaders=\S+, "
)


class Sns(ThreadedServer):
    """`numbers`: whom it took a message for. `drop_every`: of so many that it takes, one answer is dropped.

    `seconds`: before each other answer. `faults`: what was wrong with a request.
    """

    def __init__(self, *, drop_every: int = 0, seconds: float = 0) -> None:
        super().__init__()
        self.numbers: list[str] = []
        self.dropped: list[str] = []
        self.faults: list[str] = []
        self.seconds = seconds
        self._drop_every = drop_every
        self._lock = threading.Lock()

    @property
    def environment(self) -> dict[str, str]:
        """The settings of a service that sends through this."""
        return {
            "SMS_PROVIDER": "sns",
            "SNS_REGION": "eu-central-1",
            "SNS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "SNS_SECRET_ACCESS_KEY": "secret-of-the-key-0001",
            "SNS_ENDPOINT_URL": self.url,
        }

    def take(self, form: dict[str, str], authorization: str) -> bool:
        """Returns whether it answers."""
        number = form.get("PhoneNumber", "")
        with self._lock:
            if form.get("Action") != "Publish" or not form.get("Message") or not _SIGNED.match(authorization):
                self.faults.append(f"{sorted(form)}, {authorization[:40]}")
            self.numbers.append(number)
            answers = not self._drop_every or len(self.numbers) % self._drop_every != 0
            if not answers:
                self.dropped.append(number)
        return answers

    def handler(self) -> type[BaseHTTPRequestHandler]:
        double = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers["content-length"])
                content = self.rfile.read(length).decode()
                if len(content) < length:  # its worker was killed before it had written all of it
                    return
                form = {name: values[0] for name, values in parse_qs(content).items()}
                if not double.take(form, self.headers.get("authorization", "")):
                    self.close_connection = True
                    self.connection.close()
                    return
                time.sleep(double.seconds)
                taken = f"<PublishResponse><MessageId>{secrets.token_hex(8)}</MessageId></PublishResponse>".encode()
                self.send_response(200)
                self.send_header("content-length", str(len(taken)))
                self.end_headers()
                self.wfile.write(taken)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's own name
                """Nothing: the tests say what went wrong."""

        return Handler
