"""Agents, fossils and policy files of runs in a tournament: what they are, and what is refused."""

import json
from pathlib import Path

import pytest

from arena.errors import ArenaError
from lineage.contest import matches
from lineage.contest.champions import Champion, Selection
from lineage.contest.tournament_plan import decode, encode, matches_of
from lineage.record.policy_files import read_policy
from tests.commands import call
from tests.runs import lively, play
from tests.tournaments import plan, played, tables


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a lively run and an exported policy."""
    folder = tmp_path_factory.mktemp("home")
    play(folder / "run", lively())
    listed = json.loads(call("policy", "list", folder / "run", "--json").out)["policies"]
    agent = str(listed[0]["agent_id"])
    assert call("policy", "export", folder / "run", agent, "--out", folder / "one.safetensors").code == 0
    (folder / "agent").write_text(agent)
    return folder


def test_agents_fossils_and_files_play(home: Path, tmp_path: Path) -> None:
    """Each for itself, under a name of its own; the exported file and the agent it came from make the same."""
    agent = (home / "agent").read_text()
    entrant = [
        {"name": "living", "run": "run", "who": "alive", "count": 2},
        {"name": "dead", "run": "run", "who": "fossils"},
        {"name": "asked", "run": "run", "who": agent},
        {"name": "file", "policy": "one.safetensors"},
    ]
    made = plan(home, entrant=entrant, seeds="0:2", mixes=["alone", "pairs"])
    names = [player.name for player in made.players if player.role == "entrant"]
    assert len(names) == 5 and names[0].startswith("living ") and names[-3:] == ["dead", "asked", "file"]
    assert decode(encode(made)) == made
    growth = {
        match.key: matches.play_batch(made, [match])[0].seats[0].growth
        for match in matches_of(made)
        if match.mix == "alone" and match.key.endswith(("asked", "file"))
    }
    for seed in range(2):
        assert growth[f"easy/{seed}/alone/asked"] == growth[f"easy/{seed}/alone/file"]
    whole = tables(played(tmp_path / "x.sqlite", made))
    assert {row["status"] for row in whole["match"]} == {"done"}


def test_a_champion_says_from_how_many_it_was_chosen(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of how many that lived long enough, traded, and were ever born."""
    agent = int((home / "agent").read_text())
    chosen = Selection([Champion(agent, 0.1, 40)], eligible=7, traders=11, born=29)
    monkeypatch.setattr("lineage.contest.champions.select", lambda *_: chosen)
    (player,) = plan(home, entrant=[{"name": "best", "run": "run"}]).players[:1]
    assert player.behind == 29
    assert player.about.startswith("champion 1 of 7 that lived long enough, of 11 traders, of 29 agents ever born")


@pytest.mark.parametrize(
    ("entrant", "code", "words"),
    [
        ({"run": "run", "who": "champions"}, 3, "no learner traded real money for 30 rounds"),
        ({"run": "run", "who": "nobody"}, 2, "neither an id nor the name of a clan"),
        ({"run": "run", "who": "99999"}, 2, "was never born"),
        ({"run": "run", "who": "alive,3"}, 2, "stands alone"),
        ({"run": "elsewhere"}, 2, "no run is recorded here"),
        ({"policy": "missing.safetensors"}, 3, "cannot be read"),
        ({"policy": "broken.safetensors"}, 3, "not a policy file"),
        ({"policy": "old.safetensors"}, 3, "observation"),
    ],
)
def test_who_cannot_play_is_refused_before_any_match(
    home: Path, entrant: dict[str, str], code: int, words: str
) -> None:
    """One line; a policy that sees the world otherwise does not play."""
    (home / "broken.safetensors").write_bytes(b"nothing of the kind")
    data = (home / "one.safetensors").read_bytes()
    (home / "old.safetensors").write_bytes(data.replace(b'"observation_version":"1"', b'"observation_version":"9"'))
    with pytest.raises(ArenaError, match=words) as caught:
        plan(home, entrant=[{"name": "x", **entrant}])
    assert caught.value.exit_code == code and "\n" not in str(caught.value)
    assert read_policy(home / "one.safetensors").is_learner
