"""Specifications of tournaments: every key counts, and every slip is one line before any work."""

from datetime import date
from typing import Any

import pytest

from arena.errors import ConfigError
from tests.tournaments import HERE, document, plan, spec


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"seed": "0:2"}, "unknown key 'seed'; did you mean 'seeds'"),
        ({"seeds": "2:2"}, "seeds 2:2: the range is empty"),
        ({"ticks": 0}, "ticks = 0"),
        ({"mixes": ["alon"]}, "mixes"),
        ({"mixes": []}, "mixes"),
        ({"format": "league"}, "format = 'league'"),
        ({"seats": 7, "mixes": ["pairs"]}, "even number"),
        ({"seats": 4, "mixes": ["together"]}, "at least as many seats"),
        ({"entrant": []}, "no entrant"),
        ({"world": []}, "no world"),
        ({"world": [{"name": "x", "scenario": "esy"}]}, "did you mean 'easy'"),
        ({"world": [{"name": "x", "set": ["market.drft=1"]}]}, "market.drift"),
        ({"world": [{"name": "x"}, {"name": "x"}]}, "given twice"),
        ({"world": [{"name": "a/b"}]}, "name = 'a/b'"),
        ({"entrant": [{"name": "x", "script": "trend"}, {"name": "x", "script": "hold"}]}, "given twice"),
        ({"entrant": [{"name": "x", "script": "trendy"}]}, "did you mean 'trend'"),
        ({"entrant": [{"name": "x", "script": "hold", "noise": 2}]}, "noise = 2"),
        ({"entrant": [{"name": "x", "policy": "a", "noise": 0.2}]}, "noise: only an entrant with script = ... has it"),
        ({"entrant": [{"name": "x", "script": "hold", "rounds": 3}]}, "rounds: only an entrant with scenario"),
        ({"entrant": [{"name": "x", "script": "hold", "count": 3}]}, "count: only an entrant with run"),
        ({"entrant": [{"name": "x", "script": "hold", "who": "alive"}]}, "who: only an entrant with run"),
        ({"entrant": [{"name": "x", "script": "hold", "set": ["rounds=3"]}]}, "set: only an entrant with scenario"),
        ({"entrant": [{"name": "x", "script": "hold", "options": {"a": 1}}]}, "options: only an entrant with class"),
        ({"entrant": [{"name": "x", "class": "a:B", "options": {"a": date(2020, 1, 1)}}]}, "options: may hold"),
        ({"entrant": [{"name": "x", "class": "a:B", "options": {"a": float("nan")}}]}, "options: may hold"),
        ({"entrant": [{"name": "x", "class": "my_policy:Momentum", "options": {"treshold": 1}}]}, "'treshold'"),
        ({"entrant": [{"name": "x\n", "script": "hold"}]}, "1 to 40 letters"),
        ({"entrant": [{"name": "<b>", "script": "hold"}]}, "1 to 40 letters"),
        ({"entrant": [{"name": "x", "script": "hold", "noise": float("nan")}]}, "noise = nan"),
        ({"seeds": 3}, "seeds = 3"),
        ({"rounds": 3}, "only format 'swiss' has rounds"),
        ({"format": "knockout", "mixes": ["together"]}, "two players share a market"),
        ({"ticks": 10_000_000, "seats": 64, "mixes": ["together"]}, "does not fit memory, at most 1,048,576"),
        ({"world": [{"name": "x", "set": ["market.source=tape"]}]}, "name the file with tape = "),
        ({"limits": {"seconds": -1.0}}, "limits.seconds = -1.0"),
        ({"entrant": [{"name": "x"}]}, "nothing that plays"),
        ({"entrant": [{"name": "x", "script": "hold", "policy": "y"}]}, "both script and policy"),
        ({"entrant": [{"name": "x", "class": "Momentum"}]}, "module:Class"),
        ({"entrant": [{"name": "x", "class": "no_such:Thing"}]}, "No module"),
        ({"entrant": [{"name": "x", "run": "nowhere"}]}, "no run is recorded here"),
        ({"entrant": [{"name": "x", "scrpt": "hold"}]}, "did you mean 'script'"),
        ({"entrant": [{"script": "hold"}]}, "name"),
        ({"entrant": "hold"}, "list of tables"),
        ({"limits": {"second": 1}}, "did you mean 'seconds'"),
    ],
)
def test_a_bad_specification_is_one_line_before_any_work(given: dict[str, Any], words: str) -> None:
    """Place, value, cure."""
    with pytest.raises(ConfigError) as caught:
        plan(HERE.parent / "examples", **given)
    assert words in str(caught.value)
    assert str(caught.value).startswith("spec.toml: ")
    assert "\n" not in str(caught.value)


def test_a_hash_tells_the_whole_plan() -> None:
    """Every key of a specification changes it."""
    base = plan().identity()
    for change in ({"seeds": "0:3"}, {"ticks": 30}, {"seats": 10}, {"mixes": ["pairs"]}, {"whole_life": True},
                   {"limits": {"seconds": 1.0}}):  # fmt: skip
        assert plan(**change).identity() != base
    assert plan().identity() == base
    assert isinstance(spec().entrants[0].name, str) and document()["ticks"] == 20
