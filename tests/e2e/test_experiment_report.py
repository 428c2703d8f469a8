"""What `experiment plan` and `experiment report` print of records that are there."""

import json

from tests.console import scene
from tests.stack.place import Place

TEST = "payment_failed:b=0.5:salt=winter:wanted=0.05"


def test_a_report_names_the_better_variant_and_changes_nothing(place: Place) -> None:
    scene.add_experiment(place, "autumn", number=100)
    scene.add_experiment(place, "winter")
    before = place.records()
    said = place.command("experiment", "report")
    assert said.returncode == 0
    assert said.stdout.startswith("Test winter of payment_failed, started ")
    assert "The split a : b is as set: assigned 1,000 : 1,000 (p = 1), sent 1,000 : 1,000 (p = 1)" in said.stdout
    assert "b is better: decided on " in said.stdout
    found = json.loads(place.command("experiment", "report", "autumn", "--json").stdout)["experiment"]
    assert (found["salt"], found["verdict"]) == ("autumn", "too_early")
    assert place.records() == before


def test_a_report_without_a_test_says_how_to_start_one(place: Place) -> None:
    said = place.command("experiment", "report")
    assert (said.returncode, "No test was ever started" in said.stdout) == (0, True)
    unknown = place.command("experiment", "report", "spring")
    assert (unknown.returncode, "no test has the salt 'spring'; there are none" in unknown.stderr) == (78, True)


def test_a_plan_counts_the_traffic_of_the_last_week(place: Place) -> None:
    scene.add_experiment(place, "winter")
    said = place.command("experiment", "plan", TEST)
    assert said.returncode == 0
    assert " people a day get a first payment_failed, and 36." in said.stdout
    assert " days at this traffic." in said.stdout
    wrong = place.command("experiment", "plan", "payment_failed:b=2:salt=x:wanted=0.05")
    assert (wrong.returncode, "b=2 has to be a number between 0 and 1" in wrong.stderr) == (78, True)
    unset = place.command("experiment", "plan")
    assert (unset.returncode, "set EXPERIMENT" in unset.stderr) == (78, True)
