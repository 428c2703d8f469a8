"""The console in a real browser: on a phone and on a desk, in light and dark, without a mouse, and under attack."""

from collections.abc import Iterator
from importlib.resources import files

import pytest
from playwright.sync_api import Browser, Error, expect, sync_playwright

from tests.console import scene
from tests.console.browser import NoBrowserError, Visit, chromium, install
from tests.stack.place import Place, until

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
# On a machine without chromium the first of them installs it.
pytestmark = pytest.mark.timeout(600)
SIZES = {"phone": (375, 812), "desk": (1280, 900)}
EVENTS = ("receipt", "in-doubt", "script")
SALTS = {"autumn": 100, "winter": 2000}


@pytest.fixture(scope="module")
def ids(seen: Place) -> dict[str, str]:
    return {each["event_id"]: each["_id"] for each in seen.records() if each["event_id"] in EVENTS}


@pytest.fixture(scope="module")
def address(full_place: tuple[Place, int], ids: dict[str, str]) -> Iterator[str]:
    place, port = full_place
    for salt, number in SALTS.items():
        scene.add_experiment(place, salt, number)
    yield f"http://127.0.0.1:{port}"
    for salt in SALTS:
        scene.remove_experiment(place, salt)


@pytest.fixture(scope="module")
def browser(address: str) -> Iterator[Browser]:
    """Started last: while Playwright runs, nothing else may run a loop in this thread."""
    with sync_playwright() as playwright, chromium(playwright) as started:
        yield started


def paths(ids: dict[str, str]) -> list[str]:
    every = [f"/notifications/{ids[event]}" for event in ("in-doubt", "script")]
    tests = ("/experiment", "/experiment?salt=autumn&channel=sms")
    reports = ("/books", "/traffic", *tests, "/suppressions", "/clicks")
    return [f"/console{path}" for path in ("/", *reports, "/nothing", "/gallery/", *every, "/waiting")]


@pytest.mark.parametrize(("scheme", "size"), [("light", "desk"), ("dark", "phone")])
def test_axe_finds_nothing_and_nothing_sticks_out(
    browser: Browser, address: str, ids: dict[str, str], scheme: str, size: str
) -> None:
    with Visit(browser, address, scheme, SIZES[size]) as visit:
        visit.go("/console/login")
        found = [("login", each) for each in _violations(visit)]
        visit.sign_in(scene.TOKEN)
        for path in paths(ids):
            visit.go(path)
            found += [(path, each) for each in _violations(visit)]
            wide = visit.page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert wide <= 0, (path, wide)
        visit.page.get_by_role("button", name="Replay …").click()
        found += [("confirm", each) for each in _violations(visit)]
        assert found == []
        assert [said for said in visit.complaints if "404" not in said] == []


def _violations(visit: Visit) -> list[str]:
    # What a strict policy forbids a page it does not forbid its tester.
    visit.page.evaluate(AXE)
    told = visit.page.evaluate("axe.run({resultTypes: ['violations'], iframes: false})")
    return [f"{each['id']}: {each['nodes'][0]['html'][:200]}" for each in told["violations"]]


def test_everything_can_be_done_without_a_mouse(browser: Browser, address: str) -> None:
    with Visit(browser, address) as visit:
        page = visit.page
        visit.go("/console/")
        expect(page.get_by_label("Token")).to_be_focused()
        page.keyboard.type(scene.TOKEN)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("What happened to this ticket?")
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("main")).to_be_focused()
        page.keyboard.press("Tab")
        expect(page.get_by_label("Booking, event")).to_be_focused()
        page.keyboard.type("full@example.org")
        page.keyboard.press("Enter")
        expect(page.get_by_role("list").filter(has_text="mailbox full")).to_be_visible()
        page.get_by_role("button", name="Replay …").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("Replay 1 event?")
        page.get_by_role("link", name="Cancel").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("Waiting")


def test_the_page_on_tests_is_read_without_a_mouse(browser: Browser, address: str) -> None:
    with Visit(browser, address, "dark", SIZES["phone"]) as visit:
        page = visit.page
        visit.sign_in(scene.TOKEN)
        visit.go("/console/experiment")
        expect(page.get_by_role("status")).to_contain_text("b is better")
        page.get_by_role("link", name="winter").focus()
        for name in ("autumn", "E-mail", "SMS", "Push"):
            page.keyboard.press("Tab")
            expect(page.get_by_role("link", name=name, exact=True)).to_be_focused()
        for name in ("In numbers, table", "The difference over time, chart"):
            page.keyboard.press("Tab")
            region = page.get_by_role("region", name=name)
            expect(region).to_be_focused()
            # Wider than a phone: the arrow keys move it.
            page.keyboard.press("ArrowRight")
            until(lambda: page.evaluate("document.activeElement.scrollLeft") > 0)
        page.get_by_role("link", name="SMS").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_contain_text("Too early")
        expect(page.get_by_role("link", name="SMS")).to_have_attribute("aria-current", "true")


def test_a_script_in_a_record_stays_text(browser: Browser, address: str, ids: dict[str, str]) -> None:
    with Visit(browser, address) as visit:
        visit.sign_in(scene.TOKEN)
        here = f"/console/notifications/{ids['script']}"
        for path in (here, f"{here}?addresses=1", f"{here}/mail.html", f"{here}/mail.txt", "/console/"):
            visit.go(path)
            visit.page.wait_for_load_state("networkidle")
            assert visit.page.title() not in ("taken", "1"), path
            for frame in visit.page.frames:
                assert frame.title() not in ("taken", "1"), path
        visit.go(here)
        expect(visit.page.frame_locator("iframe").get_by_role("heading", level=1)).to_be_visible()


def test_a_mail_runs_no_script_and_leads_nowhere(browser: Browser, address: str, ids: dict[str, str]) -> None:
    with Visit(browser, address) as visit:
        visit.sign_in(scene.TOKEN)
        visit.go(f"/console/notifications/{ids['receipt']}")
        mail = visit.page.frames[1]
        mail.wait_for_load_state()
        assert mail.evaluate("origin") == "null"
        with pytest.raises(Error, match="SecurityError"):
            mail.evaluate("document.cookie")


def test_another_site_cannot_use_the_session(browser: Browser, address: str) -> None:
    with Visit(browser, address) as visit:
        visit.sign_in(scene.TOKEN)
        page = visit.page
        elsewhere = f'<form method="post" action="{address}/console/books"><button>Win a prize</button></form>'
        page.route("http://evil.example/", lambda route: route.fulfill(body=elsewhere, content_type="text/html"))
        page.goto("http://evil.example/")
        with page.expect_response("**/console/books") as answer:
            page.get_by_role("button").click()
        assert answer.value.status == 403


def test_where_there_is_no_browser_it_is_said_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("CHROMIUM", raising=False)
    with pytest.raises(NoBrowserError, match="apt-get install chromium"):
        install()
