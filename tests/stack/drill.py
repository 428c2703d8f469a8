"""Acts on the stack of `make run`, for docs/ops/drill.md: publishes bookings, breaks and mends its mail server.

Settings come from var/demo/env, which `make run` writes.
"""

import argparse
import os
import sys

from tests.samples import fresh
from tests.stack.processes import PartFailedError
from tests.stack.publisher import event, publish
from tests.stack.smtp import order
from tests.stack.smtp_rules import Rule

FAILED = 69
SCRIPTS = {
    "refuse": (
        Rule(at="mail", reply="421 4.7.0 account disabled, closing"),
        Rule(at="auth", reply="535 5.7.8 Username and Password not accepted"),
    ),
    "put-off": (Rule(at="rcpt", reply="450 4.2.1 mailbox busy, try again later"),),
    "bounce": (Rule(at="rcpt", reply="550 5.1.1 no such user"),),
    "mend": (),
}
MEANINGS = {
    "refuse": "the mail server turns the service away, as after a changed password",
    "put-off": "the mail server asks for every mail to be tried later",
    "bounce": "the mail server knows no address",
    "mend": "the mail server behaves again",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("act", choices=("book", *SCRIPTS), help="book: publish confirmed bookings")
    parser.add_argument("count", nargs="?", type=int, default=1, help="how many bookings")
    options = parser.parse_args()
    try:
        said = _book(options.count) if options.act == "book" else _script(options.act)
    except KeyError as missing:
        sys.stderr.write(f"{missing} is not set: start `make run`, then `set -a; . var/demo/env; set +a`\n")
        return FAILED
    except (OSError, PartFailedError) as problem:
        sys.stderr.write(f"{problem}: does `make run` still run?\n")
        return FAILED
    sys.stdout.write(f"{said}\n")
    return 0


def _book(count: int) -> str:
    """Publish so many, each for a booking of its own, and tell which."""
    events = [fresh("booking.confirmed") for _ in range(count)]
    publish(os.environ["RABBITMQ_URL"], map(event, events))
    return "\n".join(str(each["booking_id"]) for each in events)


def _script(act: str) -> str:
    port = int(os.environ["CATCHER_PORT"])
    order(port, do="script", rules=[rule.fields() for rule in SCRIPTS[act]])
    return MEANINGS[act]


if __name__ == "__main__":
    sys.exit(main())
