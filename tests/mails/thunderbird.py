"""Pictures of mails as Thunderbird shows them (make mail-thunderbird).

`python -m tests.mails.thunderbird --eml DIR --out DIR --names "NAME NAME"`

It is not fetched: Debian has thunderbird, xvfb and imagemagick.
"""

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.mails.screen import screen

NEEDED = {"thunderbird": "thunderbird", "Xvfb": "xvfb", "import": "imagemagick"}
SCHEMES = ("light", "dark")
_SCREEN = "900x1600x24"
_CALENDAR = "calendar.registry.11111111-1111-1111-1111-111111111111"
_PREFERENCES: dict[str, object] = {
    "mail.shell.checkDefaultClient": False,
    "mail.provider.suppress_dialog_on_startup": True,
    "mail.spotlight.firstRunDone": True,
    "mailnews.start_page.enabled": False,
    "mailnews.start_page_override.mstone": "ignore",
    "datareporting.policy.dataSubmissionPolicyBypassNotification": True,
    "app.update.enabled": False,
    # Nothing may leave the machine.
    "network.proxy.type": 1,
    "network.proxy.http": "127.0.0.1",
    "network.proxy.http_port": 9,
    "network.proxy.ssl": "127.0.0.1",
    "network.proxy.ssl_port": 9,
    # An account and a calendar, without which it offers to set one up.
    "mail.accountmanager.accounts": "account1,account2",
    "mail.accountmanager.defaultaccount": "account2",
    "mail.accountmanager.localfoldersserver": "server1",
    "mail.account.account1.server": "server1",
    "mail.account.account2.identities": "id1",
    "mail.account.account2.server": "server2",
    "mail.identity.id1.useremail": "jane.smith@example.com",
    "mail.identity.id1.valid": True,
    "mail.server.server1.hostname": "Local Folders",
    "mail.server.server1.type": "none",
    "mail.server.server1.userName": "nobody",
    "mail.server.server2.hostname": "localhost",
    "mail.server.server2.type": "pop3",
    "mail.server.server2.userName": "jane",
    "mail.server.server2.login_at_startup": False,
    "mail.server.server2.check_new_mail": False,
    f"{_CALENDAR}.type": "storage",
    f"{_CALENDAR}.uri": "moz-storage-calendar://",
    f"{_CALENDAR}.name": "Home",
    f"{_CALENDAR}.imip.identity.key": "id1",
}
_DARK = {
    "ui.systemUsesDarkTheme": 1,
    "layout.css.prefers-color-scheme.content-override": 0,
    "extensions.activeThemeID": "thunderbird-compact-dark@mozilla.org",
}


def missing() -> Sequence[str]:
    """The Debian packages of what is not installed."""
    return [package for program, package in NEEDED.items() if shutil.which(program) is None]


def shoot(mail: Path, scheme: str, picture: Path, *, wait: float) -> None:
    """Open the mail in a new profile, and take a picture after `wait` seconds."""
    with tempfile.TemporaryDirectory() as folder, screen(_SCREEN) as display:
        profile, home = Path(folder, "profile"), Path(folder, "home")
        profile.mkdir()
        home.mkdir()
        preferences = _PREFERENCES | (_DARK if scheme == "dark" else {})
        lines = (f"user_pref({_said(name)}, {_said(value)});\n" for name, value in preferences.items())
        (profile / "user.js").write_text("".join(lines), encoding="utf-8")
        environment = os.environ | {"DISPLAY": display, "HOME": str(home), "MOZ_CRASHREPORTER_DISABLE": "1"}
        command = ["thunderbird", "-no-remote", "-profile", str(profile), "-file", str(mail.absolute())]
        with _running(command, environment):
            time.sleep(wait)
            subprocess.run(["import", "-window", "root", str(picture)], check=True, env=environment)


def _said(value: object) -> str:
    return str(value).lower() if isinstance(value, bool | int) else f'"{value}"'


@contextlib.contextmanager
def _running(command: Sequence[str], environment: dict[str, str]) -> Iterator[None]:
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, env=environment, stdout=quiet, stderr=quiet) as process:
        try:
            yield
        finally:
            process.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mails.thunderbird", description=__doc__)
    parser.add_argument("--eml", type=Path, required=True, help="a folder of *.eml files")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--names", required=True, help="names without .eml, with blanks between")
    parser.add_argument("--wait", type=float, default=15, help="seconds until a mail is shown")
    asked = parser.parse_args()
    if packages := missing():
        sys.exit(f"skipped: apt-get install --no-install-recommends {' '.join(packages)}")
    asked.out.mkdir(parents=True, exist_ok=True)
    for name in asked.names.split():
        for scheme in SCHEMES:
            shoot(asked.eml / f"{name}.eml", scheme, asked.out / f"{name}.{scheme}.png", wait=asked.wait)


if __name__ == "__main__":
    main()
