"""Programs that travellers and calendar users have, and what they read in a mail: KDE Itinerary and khal.

Neither is fetched: each is asked where it is installed.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.mails.mail import Mail, MailFinding

EXTRACTOR = next(Path("/usr/lib").glob("*/libexec/kf[56]/kitinerary-extractor"), None)
INSTALL_EXTRACTOR = "RUNLEVEL=1 apt-get install --no-install-recommends libkpimitinerary-bin"
KHAL = shutil.which("khal")
INSTALL_KHAL = "apt-get install --no-install-recommends khal"
CHECKERS = ("itinerary",) if EXTRACTOR else ()
READ = (
    "reservationNumber",
    "reservationStatus",
    "underName.name",
    "reservationFor.name",
    "reservationFor.startDate",
    "reservationFor.location.name",
    "reservationFor.location.address.streetAddress",
    "reservedTicket.ticketToken",
)
READ_IF_SAID = ("reservationFor.endDate", "reservedTicket.ticketedSeat.seatNumber")

_KHAL_SETTINGS = """\
[calendars]
[[tickets]]
path = {folder}/tickets
[locale]
timeformat = %H:%M
dateformat = %Y-%m-%d
longdateformat = %Y-%m-%d
datetimeformat = %Y-%m-%d %H:%M
longdatetimeformat = %Y-%m-%d %H:%M
local_timezone = {zone}
default_timezone = {zone}
[sqlite]
path = {folder}/khal.db
"""


def skipped() -> list[str]:
    """A line for each checker that is not asked here, with the reason."""
    return [] if EXTRACTOR else [f"itinerary       skipped: KDE Itinerary's extractor is missing: {INSTALL_EXTRACTOR}"]


def itinerary(mails: Sequence[Mail], folder: Path) -> list[MailFinding]:
    """KDE Itinerary reads each reservation that a mail has, with seats, address and code."""
    found = []
    for mail in mails if EXTRACTOR else ():
        told = [json.loads(content) for kind, content in mail.markup.scripts if kind == "application/ld+json"]
        if told and told[0].get("@type") == "EventReservation":
            file = folder / f"{mail.name}.itinerary.eml"
            file.write_bytes(mail.raw)
            found += [MailFinding(mail.name, "itinerary", *problem) for problem in _unread(told[0], extracted(file))]
    return found


def extracted(file: Path) -> list[dict[str, Any]]:
    """What the extractor finds in a mail."""
    environment = os.environ | {"QT_QPA_PLATFORM": "offscreen"}
    done = subprocess.run([str(EXTRACTOR), str(file)], capture_output=True, text=True, check=True, env=environment)
    reservations: list[dict[str, Any]] = json.loads(done.stdout)
    return reservations


def _unread(told: dict[str, Any], read: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    if len(read) != 1:
        yield "reservation", f"{len(read)} are read"
        return
    for path in (*READ, *(path for path in READ_IF_SAID if value(told, path))):
        if value(read[0], path) is None or value(read[0], path) != value(told, path):
            yield path.rpartition(".")[2], f"{value(told, path)!r} is read as {value(read[0], path)!r}"


def value(data: Any, path: str) -> Any:  # noqa: ANN401 - JSON
    for step in path.split("."):
        data = data.get(step) if isinstance(data, dict) else None
    return data


class Khal:
    """A calendar of its own in a folder. `zone`: the reader's."""

    def __init__(self, folder: Path, zone: str) -> None:
        (folder / "tickets").mkdir()
        self._folder = folder
        self._settings = folder / "khal.conf"
        self._settings.write_text(_KHAL_SETTINGS.format(folder=folder, zone=zone))

    def take(self, file: bytes) -> None:
        """Import the file, as a reader does who opens it."""
        path = self._folder / "taken.ics"
        path.write_bytes(file)
        self._run("import", "--batch", "-a", "tickets", str(path))

    def entries(self, day: str) -> list[str]:
        """A line for each entry from this day on: start, end, title, place, status."""
        said = "{start-date} {start-time} {end-time} {title}|{location}|{status}"
        return self._run("list", "--day-format", "", "--format", said, day, "60d").splitlines()

    def _run(self, *command: str) -> str:
        whole = [str(KHAL), "-c", str(self._settings), *command]
        done = subprocess.run(whole, capture_output=True, text=True, check=True)
        return "\n".join(line.strip() for line in done.stdout.splitlines() if line.strip())
