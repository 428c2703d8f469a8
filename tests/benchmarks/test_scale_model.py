"""The model of docs/scale.md: its arithmetic, and that it scales by the rule that is deployed."""

import math
from pathlib import Path

import yaml

from benchmarks.scale_model import Costs, Part, Scaler, drain, limit, parts

RULE = Path(__file__).parents[2] / "docs" / "deploy" / "kubernetes" / "scaledobject.yaml"


def test_the_model_scales_by_the_rule_that_is_deployed() -> None:
    spec = next(each["spec"] for each in yaml.safe_load_all(RULE.read_text("utf-8")) if each["kind"] == "ScaledObject")
    (per_pod,) = {int(trigger["metadata"]["value"]) for trigger in spec["triggers"]}
    deployed = (spec["minReplicaCount"], spec["maxReplicaCount"], per_pod, spec["pollingInterval"])
    scaler = Scaler()
    assert (scaler.fewest, scaler.most, scaler.per_pod, scaler.every_s) == deployed


def test_the_first_limit_is_the_part_that_takes_least() -> None:
    model = parts(Costs(worker=2, conversations=1000, broker=1, redis=1, mongodb=1), account_per_second=500)
    assert limit(model).name == "worker processes"
    assert [each.needed(700) for each in model] == [2, 1, 1, 1, 1, 2]


def test_less_than_one_is_one() -> None:
    assert Part("anything", 1000).needed(0.1) == 1


def test_pods_help_until_the_provider_is_the_limit() -> None:
    slow, fast = (drain(20_000, 50, pod=46, provider=takes, scaler=Scaler()) for takes in (100, math.inf))
    fixed = drain(20_000, 50, pod=46, provider=math.inf, scaler=Scaler(most=2))
    assert slow is not None
    assert fast is not None
    assert fixed is not None
    assert fast.seconds < fixed.seconds / 2
    assert slow.seconds == 404
    assert slow.most_pods == Scaler().most


def test_a_provider_that_takes_less_than_arrives_never_drains() -> None:
    assert drain(1, 15, pod=100, provider=14, scaler=Scaler()) is None
