"""The commands: what they print where, what they leave behind, and the exit code."""

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import lineage
from tests.commands import call, tape_text, tiny
from tui import diagnostics, running

ROOT = Path(__file__).parent.parent
LONG = "160"
"""Rounds that leave time to interrupt a tiny run."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The head of a run of LONG rounds that nobody disturbed."""
    directory = tmp_path_factory.mktemp("whole") / "run"
    done = call("run", "small", *tiny(), "--rounds", LONG, "--out", directory, "--json")
    return str(json.loads(done.out)["head"])


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run in an empty directory, with crash reports kept in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    yield


def process(*arguments: str, cwd: Path, stdout: int = subprocess.PIPE) -> subprocess.Popen[str]:
    """Start the program as a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "tui.cli", *arguments],
        stdout=stdout, stderr=subprocess.PIPE, text=True, env=environment, cwd=cwd,
    )  # fmt: skip


def test_help_lists_the_commands_in_order() -> None:
    """--help and -h are the same, on stdout."""
    done = call("--help")
    assert done.code == 0
    names = ("run", "resume", "verify", "config", "doctor", "bench", "version")
    positions = [done.out.index(f"\n  {name} ") for name in names]
    assert positions == sorted(positions)
    assert call("-h").out == done.out


@pytest.mark.parametrize(
    "command",
    [["run"], ["resume"], ["verify"], ["config"], ["config", "show"], ["config", "init"], ["config", "schema"],
     ["config", "list"], ["doctor"], ["bench"], ["version"]],
)  # fmt: skip
def test_every_command_explains_itself(command: list[str]) -> None:
    """--help of each command starts with its usage and has a sentence."""
    done = call(*command, "--help")
    assert done.code == 0
    assert done.out.startswith("Usage: lineage-arena " + " ".join(command))
    assert len(done.out.splitlines()[2].strip()) > 10


def test_version_is_data() -> None:
    """The version goes to stdout, as text or as JSON."""
    assert call("version").out == call("--version").out == f"lineage-arena {lineage.__version__}\n"
    assert json.loads(call("version", "--json").out) == {"version": lineage.__version__}


def test_config_show_is_a_configuration_file(tmp_path: Path) -> None:
    """What is shown can be saved and used, and says where values came from."""
    shown = call("config", "show", "crisis", "--set", "body.fee_bps=2")
    assert shown.code == 0
    assert "impact_bps = 20.0  # " in shown.out
    assert "fee_bps = 2.0  # --set body.fee_bps" in shown.out
    assert tomllib.loads(shown.out)["market"]["impact_bps"] == 20.0
    file = tmp_path / "saved.toml"
    file.write_text(shown.out)
    again = json.loads(call("config", "show", "--config", file, "--json").out)
    assert again["config"]["body"]["fee_bps"] == 2.0
    assert again["config"]["scenario"] == "crisis"


def test_config_init_writes_once(tmp_path: Path) -> None:
    """A commented file appears; a second time it is not overwritten."""
    done = call("config", "init", "easy", "--out", "mine.toml")
    assert done.code == 0
    assert "mine.toml" in done.err
    assert "# Lo" not in done.out
    text = (tmp_path / "mine.toml").read_text()
    assert "# Length of the run." in text
    assert call("config", "init", "--out", "mine.toml").code == 2
    assert (tmp_path / "mine.toml").read_text() == text


def test_config_list_and_schema_are_data() -> None:
    """Scenarios with their summaries; a schema that parses."""
    names = {"default", "crisis", "crowd", "easy", "null", "small"}
    assert set(json.loads(call("config", "list", "--json").out)) == names
    assert "crowd" in call("config", "list").out
    assert json.loads(call("config", "schema").out)["title"] == "lineage-arena"


def test_doctor_reports_each_check() -> None:
    """Text and JSON have the same checks; on a healthy machine the code is 0."""
    done = call("doctor", "--json")
    report = json.loads(done.out)
    names = [check["name"] for check in report["checks"]]
    wanted = "python packages dependencies extras sqlite torch learner ticks disk scenarios"
    assert " ".join(names) == wanted
    assert done.code == 0, done.err
    assert all(name in call("doctor").out for name in names)


def test_run_writes_a_directory_and_one_json_object(tmp_path: Path) -> None:
    """stdout holds the summary and nothing else; stderr tells where the run is."""
    done = call("run", "small", *tiny(), "--rounds", "5", "--seed", "7", "--out", "one", "--json")
    assert done.code == 0, done.err
    summary = json.loads(done.out)
    assert (summary["status"], summary["rounds"], summary["seed"], summary["scenario"]) == ("finished", 5, 7, "small")
    assert "run directory: one" in done.err
    assert (tmp_path / "one" / "run.sqlite").exists()
    saved = tomllib.loads((tmp_path / "one" / "config.toml").read_text())
    assert saved["rounds"] == 5


def test_the_same_seed_gives_the_same_head_and_another_seed_another() -> None:
    """The head is a function of configuration, seed and build."""
    heads = [
        json.loads(call("run", "small", *tiny(), "--rounds", "4", "--seed", seed, "--out", out, "--json").out)["head"]
        for seed, out in (("1", "a"), ("1", "b"), ("2", "c"))
    ]
    assert heads[0] == heads[1] != heads[2]


def test_the_summary_in_words_names_head_and_checkpoint_line() -> None:
    """Without --json the summary is a few lines that a person can copy from."""
    done = call("run", "small", *tiny(), "--rounds", "3", "--out", "one")
    assert done.code == 0, done.err
    assert "checkpoint lineage-arena/" in done.out
    assert "keep this line elsewhere" in done.out
    assert "round 3/3: " in done.err


def test_quiet_says_nothing() -> None:
    """--quiet silences narration and summary; with --json the object still comes."""
    done = call("run", "small", *tiny(), "--rounds", "2", "--out", "one", "--quiet")
    assert (done.code, done.out, done.err) == (0, "", "")
    done = call("run", "small", *tiny(), "--rounds", "2", "--out", "two", "--quiet", "--json")
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out)["rounds"] == 2


def test_the_default_directory_is_named_after_scenario_seed_and_time(tmp_path: Path) -> None:
    """Two runs in the same second do not collide."""
    for _ in range(2):
        assert call("run", "small", *tiny(), "--rounds", "1", "--seed", "3", "--quiet").code == 0
    names = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert len(names) == 2
    assert all(name.startswith("small-3-") for name in names)


def test_environment_variables_reach_the_run() -> None:
    """Configuration, seed and threads may come from the environment; flags win."""
    env = {"LINEAGE_ARENA_ROUNDS": "2", "LINEAGE_ARENA_SEED": "11", "LINEAGE_ARENA_THREADS": "1"}
    summary = json.loads(call("run", "small", *tiny(), "--out", "one", "--json", env=env).out)
    assert (summary["rounds"], summary["seed"]) == (2, 11)
    summary = json.loads(call("run", "small", *tiny(), "--out", "two", "--json", "--seed", "12", env=env).out)
    assert summary["seed"] == 12


def test_live_without_a_terminal_falls_back_to_lines() -> None:
    """In a pipe or a log the live view becomes plain lines: no control sequences."""
    done = call("run", "small", *tiny(), "--rounds", "2", "--out", "one", "--live")
    assert done.code == 0, done.err
    assert "round 2/2: " in done.err
    assert "\x1b" not in done.err + done.out


def test_a_tape_gives_as_many_rounds_as_it_holds(tmp_path: Path) -> None:
    """Without --rounds the tape decides; asking for more is refused with the maximum."""
    tape = tmp_path / "tape.csv"
    tape.write_text(tape_text(160))
    done = call("run", "small", *tiny(), "--tape", tape, "--out", "one", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["rounds"] == (160 - 128) // 4
    done = call("run", "small", *tiny(), "--tape", tape, "--out", "two", "--rounds", "9")
    assert done.code == 2
    assert "--rounds: 9 rounds are more than tape.csv holds; give at most 8" in done.err
    assert not (tmp_path / "two").exists()
    assert call("run", "small", *tiny(), "--tape", tape, "--out", "three", "--rounds", "8", "--quiet").code == 0


def test_on_a_tape_founders_spend_a_quarter_on_paper_unless_told_otherwise(tmp_path: Path) -> None:
    """A short tape leaves three quarters for real money; an explicit apprenticeship stands."""
    path = tmp_path / "tape.csv"
    path.write_text(tape_text(128 + 16 * 4))
    sizes = ("market.warmup_bars=128", "arena.ticks_per_round=4")
    told = "life.founder_apprentice_rounds=9"
    for assignments, rounds in ((sizes, 4), ((*sizes, told), 9)):
        loaded, _ = running.resolve_request(running.RunRequest(tape=path, assignments=assignments))
        assert loaded.config.rounds == 16
        assert loaded.config.life.founder_apprentice_rounds == rounds


def test_tape_rounds_agree_with_the_market(tmp_path: Path) -> None:
    """The count that the command line offers is the one that the market plays."""
    from arena.market.background import Market
    from arena.market.tape import read_tape
    from lineage import settings

    path = tmp_path / "tape.csv"
    for bars in (132, 135, 136, 200):
        path.write_text(tape_text(bars))
        request = running.RunRequest(scenario="small", tape=path, assignments=tuple(tiny()[1::2]))
        loaded, _ = running.resolve_request(request)
        assert isinstance(loaded, settings.Settings)
        market = Market(loaded.config.market, 1, loaded.config.arena.ticks_per_round, 1, 1e4, read_tape(path))
        assert loaded.config.rounds == market.tape_rounds


def test_a_run_of_another_build_is_not_called_edited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It verifies here; played again it cannot be, and the error says which versions can."""
    monkeypatch.setattr(lineage, "__version__", "0.0.9")
    assert call("run", "small", *tiny(), "--rounds", "2", "--out", tmp_path / "old", "--quiet").code == 0
    monkeypatch.undo()
    assert call("verify", tmp_path / "old").code == 0
    done = call("verify", tmp_path / "old", "--replay")
    assert done.code == 4 and "FAIL causal" in done.out
    assert "recorded with another build: lineage_arena 0.0.9" in done.err and "do not trust" not in done.err


def test_verify_finds_a_clean_run_clean_and_an_edited_one_edited(tmp_path: Path) -> None:
    """Exit 0 with every level ok; exit 4 with one line after an edit."""
    import sqlite3

    done = call("run", "small", *tiny(), "--rounds", "4", "--out", "one", "--json")
    summary = json.loads(done.out)
    clean = call("verify", "one", "--head", summary["head"], "--checkpoint", summary["checkpoint_line"])
    assert clean.code == 0, clean.out + clean.err
    replayed = call("verify", "one", "--replay", "--json")
    assert replayed.code == 0, replayed.out + replayed.err
    assert json.loads(replayed.out)["ok"] is True
    connection = sqlite3.connect(tmp_path / "one" / "run.sqlite")
    for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute("UPDATE bar SET close = close * 1.5 WHERE tick = 3")
    connection.commit()
    connection.close()
    edited = call("verify", "one")
    assert edited.code == 4
    assert edited.err.count("\n") == 1
    assert "does not verify" in edited.err


def test_a_wrong_head_or_checkpoint_line_is_a_finding() -> None:
    """A well-formed but different head means that this is not the history that was kept."""
    call("run", "small", *tiny(), "--rounds", "2", "--out", "one", "--quiet")
    assert call("verify", "one", "--head", "0" * 64).code == 4
    assert call("verify", "one", "--checkpoint", f"lineage-arena/{'0' * 16} 1 {'0' * 64}").code == 4


def test_interrupted_and_resumed_is_the_same_history(tmp_path: Path, undisturbed: str) -> None:
    """One SIGINT: the round is finished, a checkpoint written, exit 130; resume ends on the same head."""
    arguments = ["run", "small", *tiny(), "--rounds", LONG, "--out", "cut"]
    running_process = process(*arguments, cwd=tmp_path)
    wait_for_rounds(tmp_path / "cut" / "run.sqlite", 3)
    running_process.send_signal(signal.SIGINT)
    _, narration = running_process.communicate(timeout=60)
    assert running_process.returncode == 130, narration
    assert "stopping after this round" in narration
    assert "continue with: lineage-arena resume cut" in narration
    assert list((tmp_path / "cut" / "checkpoints").glob("*.ckpt"))
    done = call("resume", "cut", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["head"] == undisturbed


def wait_for_rounds(database: Path, rounds: int) -> None:
    """Wait until a run has written some rounds."""
    import sqlite3

    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if database.exists():
            try:
                connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
                (count,) = connection.execute("SELECT count(*) FROM round").fetchone()
                connection.close()
                if count >= rounds:
                    return
            except sqlite3.Error:
                pass
        time.sleep(0.02)
    raise AssertionError(f"{database} never held {rounds} rounds")


def test_killed_and_resumed_is_the_same_history(tmp_path: Path, undisturbed: str) -> None:
    """After kill -9 at most the running round is lost, and resume ends on the same head."""
    victim = process("run", "small", *tiny(), "--rounds", LONG, "--out", "cut", cwd=tmp_path)
    wait_for_rounds(tmp_path / "cut" / "run.sqlite", 5)
    victim.kill()
    victim.communicate(timeout=60)
    done = call("resume", "cut", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["head"] == undisturbed


def test_the_second_interrupt_aborts() -> None:
    """The first signal is noted, the second raises."""
    stop = running.Stop()
    stop.handle(signal.SIGINT, None)
    assert stop.asked
    with pytest.raises(KeyboardInterrupt):
        stop.handle(signal.SIGINT, None)


def test_signal_handlers_are_handed_back() -> None:
    """After a run the process listens as before."""
    before = signal.getsignal(signal.SIGINT)
    with running.Stop().listening():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before


def test_a_closed_stdout_is_not_an_error(tmp_path: Path) -> None:
    """`config show | head -1` ends quietly, whenever the reader goes away."""
    for arguments in (["config", "show"], ["--help"]):
        reader, writer = os.pipe()
        os.close(reader)
        done = process(*arguments, cwd=tmp_path, stdout=writer)
        os.close(writer)
        _, narration = done.communicate(timeout=60)
        assert (done.returncode, narration) == (0, "")


def test_an_unexpected_exception_leaves_a_report(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Our bug: exit 1, one line, the traceback in a file."""

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("two\nlines \x1b[2J")

    monkeypatch.setattr("tui.running.start_run", broken)
    done = call("run", env={"XDG_STATE_HOME": str(tmp_path / "state")})
    assert done.code == 1
    assert done.err.count("\n") == 1
    assert "\x1b" not in done.err
    assert "Traceback" not in done.err
    report = Path(done.err.rpartition("report: ")[2].strip())
    assert "ZeroDivisionError" in report.read_text()
    assert str(tmp_path) in str(report)


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (OSError(28, "No space left on device", "/x/run.sqlite"), 5),
        (PermissionError(13, "Permission denied", "/x"), 5),
        (MemoryError(), 5),
        (KeyboardInterrupt(), 130),
        (BrokenPipeError(), 0),
        (ModuleNotFoundError("No module named 'textual'", name="textual"), 5),
        (ModuleNotFoundError("No module named 'lineage.nothing'", name="lineage.nothing"), 1),
        (RuntimeError("x"), 1),
    ],
)
def test_exceptions_become_exit_codes(raised: BaseException, code: int, tmp_path: Path) -> None:
    """Each kind of trouble has its code and at most one line."""

    def command() -> None:
        raise raised

    import contextlib
    import io

    err = io.StringIO()
    with contextlib.redirect_stderr(err), (tmp_path / "out").open("w") as out, contextlib.redirect_stdout(out):
        assert diagnostics.guarded(command) == code
    assert err.getvalue().count("\n") <= 1


def test_resuming_a_finished_run_changes_nothing(tmp_path: Path) -> None:
    """The summary comes again, the head is the same."""
    first = json.loads(call("run", "small", *tiny(), "--rounds", "4", "--out", "one", "--json").out)
    again = call("resume", "one", "--json")
    assert again.code == 0, again.err
    assert json.loads(again.out)["head"] == first["head"]


def test_memory_is_estimated_before_anything_is_allocated(tmp_path: Path) -> None:
    """A population that cannot fit is refused in a second, with what to lower, and leaves nothing."""
    done = call("run", "--set", "arena.seats=65536", "--set", "mind.replay_capacity=10000000", "--out", "big")
    assert done.code == 5
    assert "GiB" in done.err
    assert "lower arena.seats" in done.err
    assert not (tmp_path / "big").exists()
