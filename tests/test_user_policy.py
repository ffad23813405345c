"""A user's own class plays; one that raises, hangs, returns rubbish or eats memory loses, and the rest goes on."""

import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from arena.errors import ConfigError
from arena.spec import HOLD, N_ACTIONS, OBS_DIM
from lineage.contest.userpolicy import Limits, Session, Target, check_class

EXAMPLES = Path(__file__).parent.parent / "examples"

BAD = """
import os, sys, time
import numpy as np

class Base:
    def __init__(self, seats, seed): self.seats, self.calls = seats, 0
class Raises(Base):
    def act(self, obs, mask):
        self.calls += 1
        return [0] * len(obs) if self.calls < 3 else 1 / 0
class Hangs(Base):
    def act(self, obs, mask):
        while True: pass
class Sleeps(Base):
    def act(self, obs, mask): time.sleep(60)
class TooFew(Base):
    def act(self, obs, mask): return [0]
class Text(Base):
    def act(self, obs, mask): return "buy"
class Floats(Base):
    def act(self, obs, mask): return np.full(len(obs), np.nan)
class Beyond(Base):
    def act(self, obs, mask): return np.full(len(obs), 7)
class Eats(Base):
    def act(self, obs, mask):
        self.hoard = [np.ones(10_000_000) for _ in range(100)]
class Exits(Base):
    def act(self, obs, mask): sys.exit(0)
class Dies(Base):
    def act(self, obs, mask): os._exit(9)
class Babbles(Base):
    def act(self, obs, mask):
        print("x" * 10_000); os.write(1, b"garbage"); sys.stderr.write("y")
        return [0] * len(obs)
class CannotBeMade:
    def __init__(self, seats, seed): raise ValueError("no licence")
    def act(self, obs, mask): return []
class Counts(Base):
    made = 0
    def __init__(self, seats, seed): Counts.made += 1
    def act(self, obs, mask): return np.full(len(obs), Counts.made)
class NoAct: pass
"""


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a folder with a module of bad policies."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "bad.py").write_text(BAD)
    return str(folder)


def views(seats: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Return observations and masks."""
    obs = np.linspace(-1.0, 1.0, seats * OBS_DIM).reshape(seats, OBS_DIM).astype(np.float32)
    return obs, np.ones((seats, N_ACTIONS), dtype=bool)


def test_the_example_plays_and_sees_what_it_is_shown() -> None:
    """Buys what rose, sells what fell, by its own option."""
    obs, mask = views()
    obs[:, 5] = [2.0, -2.0, 0.0]  # return_50
    with Session(Target("my_policy:Momentum", str(EXAMPLES), '{"threshold": 1.5}'), 3, 7, Limits()) as session:
        assert session.decide(obs, mask).tolist() == [3, 5, 0]
        mask[0, 3] = False
        assert session.decide(obs, mask).tolist() == [0, 5, 0]
        assert not session.failure


def test_the_example_has_fifteen_lines_of_code() -> None:
    """As promised: the class with its imports, comments and blank lines apart."""
    lines = (EXAMPLES / "my_policy.py").read_text().splitlines()
    code = [line for line in lines if line.strip() and not line.strip().startswith(('"""', "#"))]
    assert len(code) <= 15


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Raises", "raises ZeroDivisionError: division by zero (line 10)"),
        ("Hangs", "hangs: no decision within 0.5 s"),
        ("Sleeps", "hangs: no decision within 0.5 s"),
        ("TooFew", "act returned shape (1,), one action for each of 3 seats is needed"),
        ("Text", "act returned shape (), one action for each of 3 seats is needed"),
        ("Floats", "act returned float64 values, whole numbers are needed"),
        ("Beyond", "act returned action 7, actions run from 0 to 6"),
        ("Eats", "needs more than 200 MB of memory"),
        ("Exits", "raises SystemExit: 0"),
        ("Dies", "its process ended with 9"),
        ("CannotBeMade", "raises ValueError: no licence"),
    ],
)
def test_who_misbehaves_loses_with_a_reason_and_holds_from_then_on(bad: str, name: str, reason: str) -> None:
    """Nothing is raised at us, nothing waits for long, and the process is gone."""
    began = time.monotonic()
    obs, mask = views()
    with Session(Target(f"bad:{name}", bad), 3, 1, Limits(20.0 if name == "Eats" else 0.5, 200)) as session:
        for _ in range(4):
            actions = session.decide(obs, mask)
        assert actions.tolist() == [HOLD] * 3
        assert session.failure.startswith(reason)
        assert "\n" not in session.failure
        assert session._process.poll() is not None
    assert time.monotonic() - began < 30.0


def test_what_it_prints_disturbs_nobody(bad: str) -> None:
    """Its stdout is not the pipe."""
    obs, mask = views()
    with Session(Target("bad:Babbles", bad), 3, 1, Limits()) as session:
        assert session.decide(obs, mask).tolist() == [0, 0, 0]
        assert not session.failure


def test_nothing_is_carried_from_one_match_to_the_next(bad: str) -> None:
    """A class that counts its instances counts one in every match."""
    obs, mask = views()
    for _ in range(2):
        with Session(Target("bad:Counts", bad), 3, 1, Limits()) as session:
            assert session.decide(obs, mask).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("name", "words"), [("bad:Nobody", "has no Nobody"), ("nowhere:X", "No module"), ("bad:NoAct", "no method act")]
)
def test_a_class_that_is_not_there_is_refused_before_any_match(bad: str, name: str, words: str) -> None:
    """One line, with the place where it was looked for."""
    with pytest.raises(ConfigError, match=words) as caught:
        check_class(Target(name, bad), "spec.toml: entrant 'mine'")
    assert str(caught.value).startswith("spec.toml: entrant 'mine'") and "\n" not in str(caught.value)


def test_a_module_on_the_path_of_the_spec_is_found_by_its_own_folder(tmp_path: Path) -> None:
    """The folder of the specification goes first."""
    shutil.copy(EXAMPLES / "my_policy.py", tmp_path / "other_policy.py")
    check_class(Target("other_policy:Momentum", str(tmp_path)), "here")
