"""What a model's aliases mean, and who gets which share."""

from collections import Counter
from typing import Any

import pytest
from pydantic import ValidationError

from viewfinder.registry.routing import Routing, Traffic, check_alias

CALLERS = [f"caller-{number}" for number in range(20_000)]


def _traffic(**percents: float) -> Traffic:
    """A split from `v1=90, v2=10`."""
    split = [{"version": int(v[1:]), "percent": share} for v, share in percents.items()]
    return Traffic.model_validate({"split": split})


def _first(traffic: Traffic, caller: str | None, chance: float = 0.0) -> int:
    return traffic.order("shoes", caller, chance)[0]


@pytest.mark.parametrize("alias", ["stable", "candidate", "2-wheels", "a", "v1.2_x", "a" * 64])
def test_a_word_may_be_an_alias(alias: str) -> None:
    assert check_alias(alias) == alias


@pytest.mark.parametrize(
    ("alias", "problem"),
    [
        ("latest", "computed"),
        ("3", "not a number"),
        ("0", "not a number"),
        ("007", "not a number"),
        ("9999999999", "not a number"),
        ("", "1-64"),
        ("Stable", "1-64"),
        (".hidden", "1-64"),
        ("../up", "1-64"),
        ("two words", "1-64"),
        ("a" * 65, "1-64"),
        ("stable\n", "1-64"),
    ],
)
def test_what_cannot_be_an_alias_is_refused_with_the_reason(alias: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        check_alias(alias)
    with pytest.raises(ValidationError, match=problem):
        Routing.model_validate({"aliases": {alias: 1}})


def test_an_alias_remembers_what_it_meant_before() -> None:
    routing = Routing().with_alias("stable", 1).with_alias("stable", 2).with_alias("candidate", 3)
    assert routing.aliases == {"stable": 2, "candidate": 3}
    assert routing.previous == {"stable": 1}


def test_an_alias_set_again_to_the_same_version_still_knows_the_one_before() -> None:
    routing = Routing().with_alias("stable", 1).with_alias("stable", 2).with_alias("stable", 2)
    assert routing.previous == {"stable": 1}


def test_an_alias_taken_away_leaves_nothing_behind() -> None:
    routing = Routing().with_alias("stable", 1).with_alias("stable", 2).without_alias("stable")
    assert routing == Routing()
    assert routing.without_alias("never") == Routing()


def test_a_step_back_ends_the_split_and_is_not_itself_stepped_back() -> None:
    routing = Routing().with_alias("stable", 1).with_alias("stable", 2)
    back = routing.with_traffic(_traffic(v2=100)).rolled_back(1)
    assert back.aliases == {"stable": 1}
    assert back.previous == {}
    assert back.traffic is None


def test_everything_that_is_pointed_to_is_named() -> None:
    traffic = Traffic.model_validate({"split": [{"version": 3, "percent": 100}], "shadow": 4})
    routing = Routing().with_alias("stable", 1).with_alias("stable", 2).with_traffic(traffic)
    assert routing.versions == {
        2: "the alias stable",
        3: "the traffic split",
        4: "the traffic split",
    }


def test_what_was_written_is_read_back() -> None:
    routing = Routing().with_alias("stable", 2).with_traffic(_traffic(v1=99.5, v2=0.5))
    assert Routing.model_validate_json(routing.model_dump_json()) == routing


@pytest.mark.parametrize(
    ("traffic", "problem"),
    [
        ({}, "a split, a shadow, or both"),
        ({"split": []}, "a split, a shadow, or both"),
        ({"split": [{"version": 1, "percent": 99}]}, "add up to 100"),
        ({"split": [{"version": 1, "percent": 100}, {"version": 2, "percent": 1}]}, "add up"),
        ({"split": [{"version": 1, "percent": 50}] * 2}, "two shares"),
        ({"split": [{"version": 1, "percent": -1}, {"version": 2, "percent": 101}]}, "percent"),
        ({"split": [{"version": 1, "percent": "NaN"}]}, "percent"),
        ({"split": [{"version": 0, "percent": 100}]}, "version"),
        ({"split": [{"version": v, "percent": 10} for v in range(1, 12)]}, "at most 10"),
        ({"shadow": 0}, "shadow"),
        ({"shadow": 1, "mirror": 2}, "mirror"),
    ],
)
def test_traffic_that_makes_no_sense_is_refused(traffic: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        Traffic.model_validate(traffic)


def test_shares_that_add_up_but_for_rounding_are_accepted() -> None:
    assert _traffic(v1=33.3, v2=33.3, v3=33.4).versions == {1, 2, 3}


def test_a_shadow_alone_leaves_the_answer_to_stable() -> None:
    assert list(Traffic(shadow=3).order("shoes", "somebody", 0.5)) == []


def test_each_version_gets_about_its_percent_of_the_callers() -> None:
    traffic = _traffic(v1=70, v2=25, v3=5)
    counts = Counter(_first(traffic, caller) for caller in CALLERS)
    for version, percent in ((1, 70), (2, 25), (3, 5)):
        assert counts[version] / len(CALLERS) * 100 == pytest.approx(percent, abs=1)


def test_a_caller_always_gets_the_same_version_whatever_chance_says() -> None:
    traffic = _traffic(v1=50, v2=50)
    for caller in CALLERS[:200]:
        assert len({_first(traffic, caller, chance / 10) for chance in range(10)}) == 1


def test_without_a_caller_chance_decides() -> None:
    traffic = _traffic(v1=90, v2=10)
    assert [_first(traffic, None, chance) for chance in (0.0, 0.89, 0.91, 0.999)] == [1, 1, 2, 2]


def test_a_share_of_nothing_is_never_first() -> None:
    traffic = _traffic(v1=0, v2=100)
    assert {_first(traffic, None, chance / 100) for chance in range(100)} == {2}


def test_every_version_follows_in_case_the_first_is_broken() -> None:
    traffic = _traffic(v1=10, v2=20, v3=70)
    for chance in (0.05, 0.2, 0.9):
        assert sorted(traffic.order("shoes", None, chance)) == [1, 2, 3]


def test_callers_stay_where_they_can_when_a_share_grows() -> None:
    before, after = _traffic(v1=90, v2=10), _traffic(v1=70, v2=30)
    moved = Counter(
        (_first(before, caller), _first(after, caller))
        for caller in CALLERS
        if _first(before, caller) != _first(after, caller)
    )
    assert moved.keys() == {(1, 2)}
    assert moved[1, 2] / len(CALLERS) == pytest.approx(0.2, abs=0.01)


def test_the_order_in_which_a_split_is_written_moves_nobody() -> None:
    one, other = _traffic(v1=90, v2=10), _traffic(v2=10, v1=90)
    for caller in CALLERS[:1000]:
        assert list(one.order("shoes", caller, 0)) == list(other.order("shoes", caller, 0))


def test_a_caller_is_not_the_first_to_try_every_model() -> None:
    traffic = _traffic(v1=50, v2=50)
    same = sum(
        traffic.order("shoes", caller, 0)[0] == traffic.order("hats", caller, 0)[0]
        for caller in CALLERS
    )
    assert same / len(CALLERS) == pytest.approx(0.5, abs=0.02)
