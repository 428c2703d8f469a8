"""`make demo` and `make run`: the service on a private local stack, one of each sample event, and what came of them.

python -m tests.stack.demo          publishes, shows, ends
python -m tests.stack.demo --stay   the same, and stays up until Ctrl-C
"""

import argparse
import contextlib
import secrets
import shlex
import shutil
import signal
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.samples import CONTRACT, sample
from tests.stack.local import LocalStack
from tests.stack.place import Document, Place, Service, until
from tests.stack.processes import PartFailedError
from tests.stack.publisher import event
from tests.stack.smtp import Mail

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "var" / "demo"
FAILED = 69
MAILS = 5
CONSOLE_TOKEN = secrets.token_urlsafe(16)
"""Another for each run: one that is published would open a demo that somebody left standing."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stay", action="store_true", help="stay up until Ctrl-C")
    stay: bool = parser.parse_args().stay
    console = Console()
    shutil.rmtree(FOLDER, ignore_errors=True)
    console.print("Starting a private RabbitMQ, Redis, MongoDB and mail catcher on free ports …")
    try:
        with LocalStack(FOLDER) as stack:
            return _show(console, Place(stack, FOLDER, database="movie_booking"), stay=stay)
    except PartFailedError as problem:
        sys.stderr.write(f"{problem}\n")
        return FAILED
    except KeyboardInterrupt:
        return 0


def _show(console: Console, place: Place, *, stay: bool) -> int:
    events = [sample(name) for name in (*CONTRACT, CONTRACT[0])]
    with place.service(CONSOLE_TOKEN=CONSOLE_TOKEN) as service:
        console.print(f"The service is ready; publishing {len(events)} events …")
        place.publish(*map(event, events))
        with contextlib.suppress(AssertionError):
            until(lambda: sum(len(record["event_ids"]) for record in place.records()) == MAILS + 1)
            until(lambda: place.depth("notification.booking_events") == 0)
        console.print(_table(events, place))
        delivered = len(place.mails())
        console.print(f"{delivered} mails delivered for {len(events)} published events.")
        console.print(
            f"The mails lie as .eml files in {place.smtp.folder / 'mails'}; the service's log is {service.log}"
        )
        if stay:
            _stay(console, place, service)
    return 0 if delivered == MAILS else 1


def environment(place: Place, service: Service) -> dict[str, str]:
    """The settings of the service that runs, and where its log and the script of the mail catcher are."""
    return place.environment(
        PORT=str(service.port),
        CONSOLE_PORT=str(service.console_port),
        CONSOLE_TOKEN=CONSOLE_TOKEN,
        SERVICE_LOG=str(service.log),
        CATCHER_PORT=str(place.smtp.control_port),
    )


def _stay(console: Console, place: Place, service: Service) -> None:
    file = FOLDER / "env"
    lines = [f"{name}={shlex.quote(value)}\n" for name, value in environment(place, service).items()]
    file.write_text("".join(lines), "utf-8")
    console.print("\nThe stack stays up until Ctrl-C. In another terminal:")
    console.print(f"  set -a; . {file.relative_to(ROOT)}; set +a", highlight=False)
    console.print(f"  http://127.0.0.1:{service.port}/readyz  http://127.0.0.1:{service.port}/metrics")
    console.print(
        f"  http://127.0.0.1:{service.console_port}/console/  with the token {CONSOLE_TOKEN}", highlight=False
    )
    console.print("  docs/ops/drill.md is a drill with it: break the mail server, see it, mend it, replay.")
    with contextlib.suppress(KeyboardInterrupt):
        signal.pause()


def _table(events: list[Document], place: Place) -> Table:
    table = Table(
        "event published", "mail delivered to the local catcher", "ledger record", title="What became of each"
    )
    mails = {mail.message_id: mail for mail in place.mails()}
    shown: set[str] = set()
    for published in events:
        record = place.record(published["event_id"])
        if record is None:
            table.add_row(published["event_type"], "none: not ours", "none: acked and counted")
        elif record["_id"] in shown:
            table.add_row(published["event_type"], "none: the same fact as above", f"{record['_id'][:8]}… names it too")
        else:
            shown.add(record["_id"])
            table.add_row(published["event_type"], _mail(record, mails), f"{record['_id'][:8]}… {record['outcome']}")
    return table


def _mail(record: Document, mails: dict[str | None, Mail]) -> str:
    mail = mails.get(record["message_id"])
    return f"{record['subject']} → {mail.rcpt_to[0]}" if mail else "none"


if __name__ == "__main__":
    sys.exit(main())
