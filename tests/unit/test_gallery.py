"""The gallery, over HTTP on a real server."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path

import httpx
import pytest

from notification_service import bootstrap
from notification_service.channels.email.mail import Mail
from notification_service.preview.gallery.page import SCHEMES, TABS, WIDTHS, framed
from notification_service.settings import load

pytestmark = pytest.mark.process

HEADING = '<h2>{{ _("On the day") }}</h2>'
"""Once in the confirmation."""

PAYLOAD = "<script>alert(1)</script>"
QUICK = 0.3


@dataclass(frozen=True)
class Gallery:
    http: httpx.Client
    templates: Path
    process: subprocess.Popen[str]

    def get(self, path: str) -> httpx.Response:
        return self.http.get(path)

    @contextmanager
    def changed(self, name: str, change: Callable[[str], str]) -> Iterator[None]:
        """The templates with another content of this file, or with a new file, while the block runs."""
        path = self.templates / name
        before = path.read_text("utf-8") if path.exists() else None
        path.write_text(change(before or ""), "utf-8")
        try:
            yield
        finally:
            if before is None:
                path.unlink()
            else:
                path.write_text(before, "utf-8")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def start(templates: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "notification_service", "preview", "--serve", *arguments],
        env={**os.environ, "TEMPLATES_DIR": str(templates)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gallery]:
    templates, port = tmp_path_factory.mktemp("author") / "templates", free_port()
    shutil.copytree(bootstrap.templates_directory(load()), templates)
    process = start(templates, "--port", str(port))
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == f"The mails are at http://127.0.0.1:{port}/ until Ctrl-C\n"
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as http:
            http.get("/")  # the first answer loads the templates
            yield Gallery(http, templates, process)
    finally:
        process.kill()
        process.communicate()


def links(page: str) -> set[str]:
    return {unescape(link) for link in re.findall(r'(?:href|src)="(/[^"]+)"', page)}


# ── what there is to see ─────────────────────────────────────────────────────────────────────────────
def test_every_sample_language_scheme_width_and_part_is_a_link_away(gallery: Gallery) -> None:
    first = gallery.http.get("/", follow_redirects=True)
    assert first.status_code == 200
    found = links(first.text)
    samples = {path.stem for path in (gallery.templates / "_samples").glob("*.json")} - {"booking.pending_payment"}
    assert {link.removeprefix("/samples/").partition("?")[0] for link in found if "/samples/" in link} == samples
    languages = {"en", "en_XA", *(path.stem for path in (gallery.templates / "_languages").glob("*.po"))}
    for name, values in {"language": languages, "scheme": SCHEMES, "width": WIDTHS, "tab": TABS}.items():
        assert {httpx.URL(link).params[name] for link in found if "?" in link} == set(values)
    for link in sorted(found):
        assert gallery.get(link).status_code == 200, link


@pytest.mark.parametrize("tab", TABS)
def test_a_page_is_quick(gallery: Gallery, tab: str) -> None:
    """Once of ten times is enough: the machine may be busy with other tests."""
    assert any(seconds(gallery, f"/samples/booking.confirmed?language=ar&tab={tab}") < QUICK for _ in range(10))


def seconds(gallery: Gallery, path: str) -> float:
    started = time.perf_counter()
    assert gallery.get(path).status_code == 200
    return time.perf_counter() - started


def test_the_page_tells_subject_preheader_template_and_sizes(gallery: Gallery) -> None:
    page = unescape(gallery.get("/samples/booking.confirmed").text)
    assert re.search(r"<h1 dir=\"auto\">Booking confirmed: Inception \u2013 .+</h1>", page)
    assert re.search(r"<dt>Preheader</dt><dd dir=\"auto\">AMC Theater · Seats: B5, B6 · ", page)
    assert re.search(r"booking_confirmation, content [0-9a-f]{16}<", page)
    assert re.search(r"html \d+\.\d of 40 kB, message \d+\.\d of 100 kB without attachments", page)
    assert "ticket.png (" in page


def test_the_parts_are_the_text_the_message_and_the_findings(gallery: Gallery) -> None:
    text, message = (gallery.get(f"/samples/booking.confirmed?tab={tab}").text for tab in ("text", "message"))
    assert "\nWhere: AMC Theater\n" in text
    assert "Content-Type: multipart/" in message
    assert "Nothing to mend." in gallery.get("/samples/booking.confirmed?tab=findings").text
    with gallery.changed("booking_confirmation/body.txt", lambda old: old.replace('_("Where")', '"Place"')):
        page = unescape(gallery.get("/samples/booking.confirmed?tab=findings").text)
        assert "the text does not say 'Where: AMC Theater': add it to booking_confirmation/body.txt" in page
        assert ">findings (1)</a>" in page


def test_the_findings_name_what_is_not_translated_in_that_language(gallery: Gallery) -> None:
    with gallery.changed("payment_failed/body.html", lambda old: old + '{# #}{{ _("Popcorn is on us.") }}'):
        pages = {
            one: unescape(gallery.get(f"/samples/payment.failed?tab=findings&language={one}").text)
            for one in ("de", "en")
        }
    assert re.search(r"'Popcorn is on us.' is not in it: .+/_languages/de\.po</li>", pages["de"])
    assert "Popcorn" not in pages["en"]


def test_the_message_can_be_downloaded(gallery: Gallery) -> None:
    answer = gallery.get("/messages/booking.confirmed/ja")
    assert answer.headers["content-type"] == "message/rfc822"
    assert answer.headers["content-disposition"] == 'attachment; filename="booking.confirmed.ja.eml"'
    assert answer.content.startswith(b"From: ")


# ── the frame ────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_frame_holds_its_images_and_asks_the_browser_for_no_scheme(gallery: Gallery, scheme: str) -> None:
    html = gallery.get(f"/frames/booking.confirmed/en/{scheme}").text
    assert "prefers-color-scheme" not in html
    assert f'<meta name="color-scheme" content="{scheme}">' in html
    assert "light dark" not in html
    assert 'src="data:image/png' in html
    assert "cid:" not in html
    assert ("@media (min-width: 0px)" in html) == (scheme == "dark")


def test_a_scheme_is_forced_in_a_query_of_several_conditions() -> None:
    css = "@media screen and (prefers-color-scheme:dark) and (max-width: 600px){}@media (prefers-color-scheme: light){}"
    dark = framed(Mail("", "", f"<style>{css}</style>"), "dark")
    assert "screen and (min-width: 0px) and (max-width: 600px)" in dark
    assert "@media (max-width: 0px){}" in dark


def test_the_frame_has_the_width_that_was_asked_for(gallery: Gallery) -> None:
    page = gallery.get("/samples/booking.confirmed?width=320&scheme=dark&language=ar").text
    assert re.search(
        r'<iframe src="/frames/booking.confirmed/ar/dark" width="320" [^>]*sandbox="allow-same-origin"', page
    )


# ── what must not happen ─────────────────────────────────────────────────────────────────────────────
def test_a_script_in_a_template_or_in_an_event_is_inert(gallery: Gallery) -> None:
    sample = (gallery.templates / "_samples/booking.confirmed.json").read_text("utf-8").replace("Inception", PAYLOAD)
    with (
        gallery.changed("_samples/booking.confirmed.evil.json", lambda _: sample),
        gallery.changed(
            "booking_confirmation/body.txt",
            lambda old: old.replace("{% block content %}", "{% block content %}" + PAYLOAD),
        ),
        gallery.changed("booking_confirmation/body.html", lambda old: old.replace(HEADING, PAYLOAD)),
    ):
        for tab in TABS:
            answer = gallery.get(f"/samples/booking.confirmed.evil?tab={tab}")
            assert answer.status_code == 200
            assert PAYLOAD not in answer.text
            assert re.findall(r"<script[^>]*>", answer.text) == ['<script src="/gallery.js" defer>']
        frame = gallery.get("/frames/booking.confirmed.evil/en/light")
        assert frame.text.count(PAYLOAD) == 1, "the template's own; the event's is escaped"
        policy = frame.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src" not in policy
        assert "allow-scripts" not in policy
        assert "sandbox" in policy


def test_every_answer_has_a_strict_policy(gallery: Gallery) -> None:
    for path in ("/samples/booking.confirmed", "/samples/none", "/version", "/gallery.js", "/gallery.css"):
        headers = gallery.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
    page = gallery.get("/samples/booking.confirmed").text
    assert not re.search(r"<style|\sstyle=|\son\w+=", page), "the policy would refuse it"


@pytest.mark.parametrize(
    "path",
    [
        "/samples/../../etc/passwd",
        "/samples/..%2f..%2fetc%2fpasswd",
        "/samples/%2e%2e",
        "/samples/booking.confirmed%00",
        "/samples/_samples%2fbooking.confirmed",
        "/samples/booking.pending_payment",
        f"/samples/{PAYLOAD}",
        "/samples/booking.confirmed?language=tlh",
        "/samples/booking.confirmed?scheme=sepia",
        "/samples/booking.confirmed?width=1",
        "/samples/booking.confirmed?tab=secrets",
        "/frames/..%2f..%2fpyproject/en/light",
        "/frames/booking.confirmed/..%2fen/light",
        "/frames/booking.confirmed/en/sepia",
        "/messages/..%2fbooking/en",
        "/page.html",
        "/../page.py",
    ],
)
def test_what_is_not_there_is_not_found(gallery: Gallery, path: str) -> None:
    answer = gallery.get(path)
    assert answer.status_code == 404
    assert "There is no /" in answer.text
    assert "<script>" not in answer.text


def test_another_name_for_this_machine_is_refused(gallery: Gallery) -> None:
    assert gallery.http.get("/version", headers={"Host": "evil.example"}).status_code == 400


# ── while somebody writes ────────────────────────────────────────────────────────────────────────────
def test_a_save_is_seen(gallery: Gallery) -> None:
    before = gallery.get("/version").text
    assert gallery.get("/version").text == before
    assert f'data-version="{before}"' in gallery.get("/samples/booking.confirmed").text
    with gallery.changed("booking_confirmation/body.html", lambda old: old.replace(HEADING, "Salut")):
        assert gallery.get("/version").text != before
        assert "Salut" in gallery.get("/frames/booking.confirmed/en/light").text


@pytest.mark.parametrize(
    ("name", "spoil", "said"),
    [
        ("booking_confirmation/body.html", "{% if %}", r"/booking_confirmation/body\.html:\d+: "),
        ("booking_confirmation/body.txt", "{% block content %}{{ event.nonsense }}", r"/body\.txt:\d+: .+'nonsense'"),
        ("_base/layout.html", "{{ <b> }}", r"/_base/layout\.html:\d+: "),
        ("_languages/de.po", 'msgid "', r"/_languages/de\.po is no catalogue"),
        ("_samples/booking.confirmed.json", '{"x": <i>', r"/_samples/booking\.confirmed\.json:1: "),
        ("_samples/booking.confirmed.json", "[]", r"booking\.confirmed\.json:1: it has to be an object"),
        ("_samples/booking.confirmed.json", '{"event_type": "booking.confirmed", "seats": true}', r"\.json: seats "),
    ],
)
def test_a_fault_is_shown_with_file_and_line_in_the_place_of_the_mail(
    gallery: Gallery, name: str, spoil: str, said: str
) -> None:
    replaced = name.endswith((".json", ".po"))
    with gallery.changed(name, lambda old: spoil if replaced else old.replace("{% block content %}", spoil)):
        page = gallery.get("/samples/booking.confirmed")
        assert page.status_code == 200
        assert re.search(rf'<p class="fault" role="alert">.*{said}', unescape(page.text))
        assert spoil not in page.text or "<" not in spoil
        assert "/samples/payment.failed?" in page.text, "the way to the others stays"
        assert gallery.get("/frames/booking.confirmed/en/light").status_code == 404
        assert gallery.get("/").status_code == 307
    assert "<iframe" in gallery.get("/samples/booking.confirmed").text


def test_the_lines_around_a_fault_are_shown(gallery: Gallery) -> None:
    with gallery.changed("booking_confirmation/body.html", lambda old: old.replace(HEADING, "{{ <b> }}")):
        page = gallery.get("/samples/booking.confirmed").text
    assert re.search(r'<span class="at-fault"> +\d+  \{\{ &lt;b&gt; \}\}</span>', page)
    assert page.count('class="around"') == 6


def test_a_fault_in_one_language_leaves_the_others_alone(gallery: Gallery) -> None:
    spoil = "{% if event.movie_title and style.language == 'de' %}{{ 1 / 0 }}{% endif %}" + HEADING
    change = lambda old: old.replace(HEADING, spoil)  # noqa: E731 - one line says it
    with gallery.changed("booking_confirmation/body.html", change):
        pages = {one: gallery.get(f"/samples/booking.confirmed?language={one}").text for one in ("de", "en")}
    assert "body.html:" in pages["de"]
    assert "division by zero" in pages["de"]
    assert "<iframe" in pages["en"]
    assert "language=en" in pages["de"], "the way to the others stays"


# ── the command ──────────────────────────────────────────────────────────────────────────────────────
def test_ctrl_c_ends_it_quietly_and_a_port_that_is_taken_is_named(gallery: Gallery, tmp_path: Path) -> None:
    taken = start(gallery.templates, "--port", str(gallery.http.base_url.port))
    _, said = taken.communicate(timeout=30)
    assert taken.returncode == 78
    assert f"--port {gallery.http.base_url.port} cannot be listened on" in said
    assert len(said.splitlines()) == 1

    ours = start(gallery.templates, "--port", str(free_port()))
    assert ours.stdout is not None
    assert "until Ctrl-C" in ours.stdout.readline()
    ours.send_signal(signal.SIGINT)
    assert ours.communicate(timeout=30) == ("", "")
    assert ours.returncode == 0


def test_without_a_folder_and_without_serve_it_says_what_to_name() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "notification_service", "preview"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 78
    assert "--serve" in ran.stderr
