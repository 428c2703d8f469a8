"""Which clicks are a person's: by the request, by the time since the sending, and by what else was followed."""

from datetime import UTC, datetime, timedelta

import pytest

from notification_service.feedback.clicks import Hit, Visitor, Why, by_request, judged

SENT = datetime(2026, 12, 1, 12, tzinfo=UTC)


def hit(seconds: float, link: str = "booking", why: Why | None = None) -> Hit:
    return Hit(link, SENT + timedelta(seconds=seconds), why)


def whys(*hits: Hit, sent_at: datetime | None = SENT) -> list[Why | None]:
    return [each.why for each in judged(hits, sent_at)]


def test_a_click_within_10_seconds_of_the_sending_is_a_gateways() -> None:
    assert whys(hit(-1), hit(9.9), hit(10)) == [Why.TOO_SOON, Why.TOO_SOON, None]
    assert whys(hit(5), sent_at=None) == [None], "the record is gone"


def test_two_links_of_one_mail_at_once_are_a_machines() -> None:
    assert whys(hit(60), hit(62, "support"), hit(65, "retry")) == [Why.TWO_LINKS, Why.TWO_LINKS, None]
    assert whys(hit(60), hit(60.5)) == [None, None], "one link twice is an impatient finger"


def test_what_the_request_said_stays_and_is_told() -> None:
    (found,) = judged([hit(1, why=Why.ROBOT)], SENT)
    assert (found.why, found.visitor) == (Why.ROBOT, Visitor.MACHINE)
    (found,) = judged([hit(100)], SENT)
    assert (found.why, found.visitor) == (None, Visitor.PERSON)


@pytest.mark.parametrize(
    "agent",
    [
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML) Chrome/131.0.0.0 Safari/537.36",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
        "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
        "Mozilla/5.0 (Linux; Android 14; CUBOT KINGKONG) AppleWebKit/537.36 Chrome/130.0.0.0 Mobile Safari/537.36",
        "Mozilla/5.0 (Linux; Android 10; Cubot/X20) AppleWebKit/537.36 Chrome/130.0.0.0 Mobile Safari/537.36",
        "Opera/9.80 (Android; Opera Mini/36.2) Presto/2.12.423 Version/12.16",
        "NokiaC3-00/5.0 (08.65) Profile/MIDP-2.1",
    ],
)
def test_a_browser_is_a_persons(agent: str) -> None:
    assert by_request("GET", {"user-agent": agent}) is None


@pytest.mark.parametrize(
    "agent",
    [
        "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
        "Mozilla/5.0 AppleWebKit/537.36 (compatible; Google-Safety; +http://www.google.com/bot.html)",
        "Go-http-client/1.1",
        "python-requests/2.32.3",
        "Java/17.0.1",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/119.0.0.0 Safari/537.36",
        "Slackbot-LinkExpanding 1.0",
        "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
        "GuzzleHttp/7",
        "libcurl/8.5.0",
        "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html",
        "Mozilla/4.0 (compatible; ms-office; MSOffice 16)",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/119.0.0.0 Safari/537.36 Chrome-Lighthouse",
        "",
        "   ",
    ],
)
def test_a_robot_says_so_or_says_nothing(agent: str) -> None:
    assert by_request("GET", {"user-agent": agent}) is Why.ROBOT
