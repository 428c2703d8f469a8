"""The console of the running service over sockets: who is counted for a guess, and what its port leads to."""

import socket

import httpx

from tests.samples import fresh
from tests.stack.place import Place, Service, until
from tests.stack.publisher import event

TOKEN = "a-token-that-is-long-enough"


def signed_in(service: Service, token: str = TOKEN, **headers: str) -> int:
    address = f"http://127.0.0.1:{service.console_port}/console/login"
    return httpx.post(address, data={"token": token}, headers=headers, timeout=20).status_code


def by_gateway(claimed: str, client: str) -> dict[str, str]:
    """What a gateway makes of a client that claims to speak for another: it appends whom it saw."""
    return {"X-Forwarded-For": f"{claimed}, {client}"}


def test_health_and_console_have_a_port_each(place: Place) -> None:
    with place.service(CONSOLE_TOKEN=TOKEN) as service:
        health, console = (f"http://127.0.0.1:{port}" for port in (service.port, service.console_port))
        for path in ("/metrics", "/livez", "/readyz", "/health", "/actuator/health"):
            assert httpx.get(health + path).status_code == 200, path
            assert httpx.get(console + path).status_code == 404, path
        for path in ("/console", "/console/", "/console/login", "/console/console.css"):
            assert httpx.get(health + path).status_code == 404, path
            assert httpx.get(console + path).status_code in (200, 307, 401), path
        (listening,) = [line for line in service.said("http.serving") if line["port"] == service.console_port]
        assert listening["host"] == "127.0.0.1"


def test_guesses_count_for_who_makes_them_whatever_they_claim(place: Place) -> None:
    with place.service(CONSOLE_TOKEN=TOKEN) as service:
        codes = [signed_in(service, "wrong", **{"X-Forwarded-For": f"203.0.113.{each}"}) for each in range(30)]
        assert codes == [401] * 5 + [429] * 25
        assert {line["address"] for line in service.said("console.refused")} == {"127.0.0.1"}


def test_guesses_whose_bodies_come_all_at_once_are_counted_one_by_one(place: Place) -> None:
    with place.service(CONSOLE_TOKEN=TOKEN) as service:
        clients = [socket.create_connection(("127.0.0.1", service.console_port), 20) for _ in range(60)]
        for client in clients:
            client.sendall(
                b"POST /console/login HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 13\r\n\r\n"
            )
        for number, client in enumerate(clients):
            client.sendall(b"token=guess%02d" % number)
        codes = [client.makefile("rb").readline().split()[1] for client in clients]
        for client in clients:
            client.close()
        assert sorted(codes) == [b"401"] * 5 + [b"429"] * 55


def test_behind_a_gateway_that_is_named_nobody_locks_an_operator_out(place: Place) -> None:
    with place.service(CONSOLE_TOKEN=TOKEN, CONSOLE_TRUSTED_PROXIES="127.0.0.1") as service:
        guesser, operator = "203.0.113.66", "203.0.113.9"
        codes = [signed_in(service, "wrong", **by_gateway(operator, guesser)) for _ in range(7)]
        assert codes == [401] * 5 + [429] * 2
        assert signed_in(service, **by_gateway("198.51.100.1", operator)) == 303
        assert signed_in(service, **by_gateway(operator, guesser)) == 429


def test_what_was_discarded_is_named_in_the_log(place: Place) -> None:
    data = [fresh("payment.success", booking_id="", user_id="nobody") for _ in range(102)]
    with place.service(CONSOLE_TOKEN=TOKEN) as service:
        place.publish(*map(event, data))
        until(lambda: place.depth("notification.parked") == len(data))
        with httpx.Client(base_url=f"http://127.0.0.1:{service.console_port}", timeout=60) as operator:
            operator.post("/console/login", data={"token": TOKEN})
            page = operator.get("/console/waiting").text
            csrf_token = page.partition('name="csrf_token" value="')[2].partition('"')[0]
            form = {"csrf_token": csrf_token, "do": "discard", "confirmed": "yes", "until": "2099-01-01T00:00:00+00:00"}
            assert operator.post("/console/parked", data={**form, "older": "-1"}).status_code == 400
            assert service.said("console.acted") == []
            assert "102 events discarded" in operator.post("/console/parked", data={**form, "reason": "no_"}).text
        lines = service.said("console.acted")
        assert [(line["action"], line["address"], line["events"]) for line in lines] == [
            ("discard", "127.0.0.1", 102)
        ] * 2
        assert {each for line in lines for each in line["event_ids"]} == {each["event_id"] for each in data}
