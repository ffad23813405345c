"""One table of wrong input: the right exit code, one clear line on stderr, no traceback, nothing half-written."""

import hashlib
import os
import re
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from tests.commands import call, tape_text, tiny

ROOT = Path(__file__).parent.parent
Prepare = Callable[[Path], object]


@dataclass(frozen=True)
class Case:
    """One wrong command line; `{run}` in an argument is a finished run that may be spoiled."""

    name: str
    arguments: tuple[str, ...]
    code: int
    needles: tuple[str, ...]  # all of them stand in the one line on stderr
    prepare: Prepare | None = None
    env: Mapping[str, str] = field(default_factory=dict)


def text(name: str, content: str | bytes) -> Prepare:
    """Return a step that writes a file."""
    data = content.encode() if isinstance(content, str) else content

    def step(where: Path) -> None:
        (where / name).parent.mkdir(parents=True, exist_ok=True)
        (where / name).write_bytes(data)

    return step


def folder(name: str) -> Prepare:
    """Return a step that makes a directory."""
    return lambda where: (where / name).mkdir(parents=True)


def spoil(statement: str) -> Prepare:
    """Return a step that runs SQL on the finished run, past its guards."""

    def step(where: Path) -> None:
        connection = sqlite3.connect(where / "run" / "run.sqlite")
        connection.executescript(statement)
        connection.commit()
        connection.close()

    return step


def overwrite(offset: int, data: bytes, name: str = "run/run.sqlite") -> Prepare:
    """Return a step that overwrites bytes of a file."""

    def step(where: Path) -> None:
        with (where / name).open("r+b") as file:
            file.seek(offset)
            file.write(data)

    return step


def truncate(size: int) -> Prepare:
    """Return a step that cuts the database off."""
    return lambda where: os.truncate(where / "run" / "run.sqlite", size)


def usage(name: str, *arguments: str, needles: tuple[str, ...], **more: object) -> Case:
    """Return a case of exit code 2."""
    return Case(name, arguments, 2, needles, **more)  # type: ignore[arg-type]


def setting(assignment: str, *needles: str) -> Case:
    """Return a case of one wrong --set."""
    return Case(f"set {assignment[:40]}", ("config", "show", "--set", assignment), 2, needles)


def file(name: str, content: str | bytes, *needles: str) -> Case:
    """Return a case of one wrong configuration file."""
    return Case(
        f"file {name}", ("run", "--config", "my.toml", "--out", "new"), 2,
        ("my.toml", *needles), text("my.toml", content),
    )  # fmt: skip


def tape(name: str, content: str | bytes, *needles: str, flags: tuple[str, ...] = (), code: int = 3) -> Case:
    """Return a case of one wrong tape."""
    return Case(
        f"tape {name}", ("run", "small", *tiny(), "--tape", "tape.csv", "--out", "new", *flags), code,
        ("tape.csv", *needles), text("tape.csv", content),
    )  # fmt: skip


def column(line: int, index: int, value: str, bars: int = 150) -> str:
    """Return a clean tape with one field replaced."""
    lines = tape_text(bars).splitlines()
    fields = lines[line - 1].split(",")
    fields[index] = value
    lines[line - 1] = ",".join(fields)
    return "\n".join(lines) + "\n"


FLAGS = [
    usage("unknown command", "rn", needles=("'rn'", "did you mean 'run'", "--help")),
    usage("unknown command far off", "zzz", needles=("'zzz'", "run, resume")),
    usage("unknown option", "run", "--sed", "1", needles=("--sed", "--seed", "run --help")),
    usage("option without value", "run", "--seed", needles=("--seed", "argument")),
    usage("seed is a word", "run", "--seed", "x", needles=("--seed", "'x'", "integer")),
    usage("seed negative", "run", "--seed", "-1", needles=("--seed", "-1", "0<=x")),
    usage("seed beyond 63 bits", "run", "--seed", str(2**63), needles=("--seed", "range")),
    usage("rounds 0", "run", "--rounds", "0", needles=("--rounds", "0 is not a whole number >= 1")),
    usage("rounds negative", "run", "--rounds", "-5", needles=("--rounds", "-5", ">= 1")),
    usage("rounds a fraction", "run", "--rounds", "2.5", needles=("--rounds", "'2.5'", "integer")),
    usage("rounds far too many", "run", "--rounds", "10000001", needles=("--rounds", "10000001", "<= 10000000")),
    usage("threads 0", "run", "--threads", "0", needles=("--threads", "0 is not in the range")),
    usage("threads 999", "resume", "x", "--threads", "999", needles=("--threads", "999")),
    usage("device unknown", "run", "--device", "tpu", needles=("--device", "'tpu'", "cpu", "cuda")),
    usage("two scenarios", "run", "easy", "null", needles=("unexpected extra argument", "null")),
    usage("live and json", "run", "--live", "--json", needles=("--live", "--json", "give one")),
    usage("live and quiet", "run", "--live", "--quiet", needles=("--live", "--quiet", "give one")),
    usage("skip-bad without a tape", "run", "--skip-bad", needles=("--skip-bad", "give --tape FILE")),
    usage("market unknown", "run", "--market", "yahoo", needles=("--market", "'yahoo'", "'franke_westerhoff'")),
    usage("market tape without a file", "run", "--market", "tape", needles=("--market", "--tape FILE")),
    usage("config without a verb", "config", needles=("config", "--help")),
    usage("config with a wrong verb", "config", "shw", needles=("'shw'", "did you mean 'show'")),
    usage("resume without a directory", "resume", needles=("DIR", "resume --help")),
    usage("verify without a directory", "verify", needles=("DIR", "verify --help")),
    usage("head too short", "verify", "run", "--head", "abc", needles=("--head", "'abc'", "64 hex digits")),
    usage("head not hex", "verify", "run", "--head", "g" * 64, needles=("--head", "64 hex digits")),
    usage("checkpoint line is junk", "verify", "run", "--checkpoint", "hello", needles=("--checkpoint", "'hello'")),
    usage("checkpoint line unquoted", "verify", "run", "--checkpoint", "lineage-arena/0123456789abcdef", "12", "aa",
          needles=("unexpected extra",)),
    usage("seed variable is a word", "run", needles=("'abc'", "LINEAGE_ARENA_SEED"),
          env={"LINEAGE_ARENA_SEED": "abc"}),
    usage("variable misspelt", "run", needles=("LINEAGE_ARENA_MARKET_DRFT", "did you mean LINEAGE_ARENA_MARKET_DRIFT?"),
          env={"LINEAGE_ARENA_MARKET_DRFT": "1"}),
    usage("variable unknown", "config", "show", needles=("LINEAGE_ARENA_QQQQ", "unset it"),
          env={"LINEAGE_ARENA_QQQQ": "1"}),
    usage("variable with a wrong value", "config", "show", needles=("LINEAGE_ARENA_ARENA_SEATS", "'many'", ">= 1"),
          env={"LINEAGE_ARENA_ARENA_SEATS": "many"}),
    usage("variable names no scenario", "config", "show", needles=("LINEAGE_ARENA_SCENARIO", "did you mean 'easy'"),
          env={"LINEAGE_ARENA_SCENARIO": "eazy"}),
]  # fmt: skip

SCENARIOS = [
    usage("scenario misspelt", "run", "smal", needles=("'smal'", "did you mean 'small'")),
    usage("scenario far off", "run", "qqqq", needles=("'qqqq'", "default, crisis")),
    usage("scenario empty", "run", "", needles=("scenario ''", "choose one")),
    usage("scenario is a file", "run", "easy.toml", needles=("'easy.toml'", "--config easy.toml")),
    usage("scenario climbs out", "run", "../pyproject", needles=("../pyproject", "--config")),
    usage("scenario with control characters", "run", "a\x1b[2J\nb", needles=("\\x1b", "does not exist")),
    usage("scenario with surrogates", "run", "caf\udce9", needles=("does not exist",)),
]

SETTINGS = [
    setting("market.drft=1", "market.drft", "did you mean 'market.drift'"),
    setting("drift=0.1", "'drift'", "did you mean 'market.drift'"),
    setting("mrket.drift=0.1", "did you mean 'market.drift'"),
    setting("gama=0.1", "unknown key 'gama'", "did you mean 'genome.gamma'"),
    setting("qqq.zzz=1", "unknown key 'qqq.zzz'", "sections: arena, market"),
    setting("market=1", "'market' is a section", "drift"),
    setting("market.drift.x=1", "unknown key", "market.drift"),
    setting("market.drift", "section.key=value"),
    setting("=3", "section.key=value"),
    setting("", "section.key=value"),
    setting("market.drift=", "'' is not a number"),
    setting("market.drift=-1", "-1 is not a number >= 0", "0.002"),
    setting("market.drift=fast", "'fast' is not a number"),
    setting("market.drift=nan", "nan is not"),
    setting("market.drift=inf", "inf is not finite"),
    setting("market.drift=1e400", "inf is not finite"),
    setting("market.drift=0.5", "0.5 is above 0.1"),
    setting("market.drift=1\nrounds=2", "is not a number"),
    setting("market.drift=[1]", "[1] is not a number"),
    setting("market.source=tape", "--tape FILE"),
    setting("market.source=nasdaq", "'nasdaq'", "one of 'franke_westerhoff', 'gbm', 'tape'"),
    setting("market.tape_name=x.csv", "--tape FILE"),
    setting("arena.seats=0", "0 is not a whole number >= 1"),
    setting("arena.seats=1.5", "1.5 is not a whole number"),
    setting("arena.seats=true", "True is not a whole number"),
    setting(f"arena.seats={'9' * 5000}", "is not a whole number"),
    setting("arena.markets=4096", "4096 is not a whole number >= 1 and <= 1024"),
    setting("life.patron=1", "1 is not true or false"),
    setting("life.patron=True", "true or false"),
    setting("life.spawn_wealth=1.2", "spawn_wealth 1.2", "raise life.spawn_wealth"),
    setting("mind.hidden=[64]", "[64] is not a list of 2"),
    setting("mind.hidden=[64, 0]", "is not a list of 2, each a whole number >= 1"),
    setting("mind.batch=500", "batch 500", "raise mind.learn_start"),
    setting("mind.learn_start=19000", "learn_start 19000", "replay_capacity 12288", "lower"),
    setting("mind.adam_beta2=1", "adam_beta2", "less than 1"),
    setting("genome.gamma=[0.9, 0.5, 0.99]", "out of order", "lowest <= typical <= highest"),
    setting("genome.gamma=[0.9, 0.95, 1.01]", "leaves [0, 1]"),
    setting("genome.gamma=0.9", "a list of 3"),
    setting("scars.minor_points=50", "minor_points 50", "minor <= moderate <= severe <= fatal"),
    setting("population.random=65", "65 scripted agents", "64 seats", "raise arena.seats"),
    setting("body.endowment=0", "0 is not a number > 0"),
    setting("body.endowment=1e300", "1e+300 is above"),
    setting("scenario=nothing", "no scenario 'nothing'"),
]

FILES = [
    Case("file missing", ("run", "--config", "no.toml"), 2, ("no.toml", "no such file")),
    Case("file is a directory", ("run", "--config", "my.toml"), 2, ("my.toml", "not a file"), folder("my.toml")),
    Case("file is a device", ("run", "--config", "/dev/zero"), 2, ("/dev/zero", "not a file")),
    Case("file name far too long", ("run", "--config", "x" * 5000), 2, ("too long",)),
    file("binary", bytes(range(256)) * 8, "not UTF-8"),
    file("latin-1", "# caf\xe9".encode("latin-1"), "not UTF-8"),
    file("syntax", "rounds = 5\n\nseats == 3\n", "my.toml:3", "not valid TOML"),
    file("unclosed", "[market", "my.toml:1", "not valid TOML"),
    file("key twice", "rounds = 5\nrounds = 6\n", "my.toml:2", "not valid TOML"),
    file("unknown key", "[market]\nvolatility = 0.01\ndrft = 0.1\n", "my.toml:3", "did you mean 'market.drift'"),
    file("unknown section", "[markets]\ndrift = 1\n", "my.toml:1", "section 'markets'", "did you mean 'market'"),
    file("section as value", "market = 3\n", "my.toml:1", "is a section"),
    file("array of tables", "[[market]]\ndrift = 0.1\n", "my.toml", "section"),
    file("wrong type", "[arena]\n# how many\nseats = '64'\n", "my.toml:3: arena.seats", "'64' is not a whole number"),
    file("out of range", "[body]\nfee_bps = 5000\n", "my.toml:2: body.fee_bps", "<= 1000"),
    file("date", "rounds = 2020-01-01\n", "my.toml:1: rounds", "whole number"),
    file("unknown scenario", 'scenario = "crwd"\n', "my.toml:1", "did you mean 'crowd'"),
    file("scenario is a number", "scenario = 3\n", "my.toml:1", "a text in quotes"),
    file("two megabytes", "# x\n" * 600_000, "larger than 1 MiB"),
    file("nested too deep", "x = " + "[" * 5000, "my.toml", "TOML"),
    file("rule between values", "[mind]\nbatch = 300\n", "my.toml:2: mind.batch", "raise mind.learn_start"),
    file("unknown nested table", "[market.drift]\nx = 1\n", "my.toml", "market.drift"),
]

TAPES = [
    Case("tape missing", ("run", "--tape", "no.csv", "--out", "new"), 3, ("no.csv",)),
    Case("tape is a directory", ("run", "--tape", "tape.csv", "--out", "new"), 3, ("tape.csv",), folder("tape.csv")),
    tape("empty", ""),
    tape("blank lines only", "\n\n\n"),
    tape("binary", bytes(range(256)) * 40),
    tape("header only", "Date,Open,High,Low,Close,Volume\n"),
    tape("without a close", tape_text(150, "Date,Open,High,Low,Foo,Volume"), "close"),
    tape("without dates", tape_text(150, "Foo,Open,High,Low,Close,Volume")),
    tape("too short", tape_text(100), "100", "too few", "128"),
    tape("not a number", column(7, 4, "abc"), "tape.csv:7", "abc", "lose"),
    tape("nan", column(7, 1, "nan"), "tape.csv:7", "nan"),
    tape("infinity", column(7, 2, "inf"), "tape.csv:7", "inf"),
    tape("1e400", column(7, 2, "1e400"), "tape.csv:7", "1e400"),
    tape("underscore in a number", column(7, 1, "1_00"), "tape.csv:7", "1_00"),
    tape("other digits", column(7, 1, "\uff11\uff10\uff10"), "tape.csv:7"),
    tape("negative price", column(9, 3, "-1"), "tape.csv:9", "-1"),
    tape("zero price", column(9, 1, "0"), "tape.csv:9"),
    tape("negative volume", column(9, 5, "-5"), "tape.csv:9", "-5"),
    tape("high under close", column(9, 2, "90"), "tape.csv:9", "igh"),
    tape("low above open", column(9, 3, "101.99"), "tape.csv:9", "ow"),
    tape("a field missing", "\n".join([*tape_text(9).splitlines(), "2000-02-01,1,1,1", ""]), "tape.csv:11"),
    tape("date is no date", column(9, 0, "yesterday"), "tape.csv:9", "yesterday"),
    tape("31st of February", column(9, 0, "2000-02-31"), "tape.csv:9", "2000-02-31"),
    tape("same date twice", column(9, 0, tape_text(3).splitlines()[2].split(",")[0]), "tape.csv"),
    tape("too short without its bad row", column(9, 4, "abc", 132), "131", "too few", flags=("--skip-bad",)),
    tape("more rounds than it holds", tape_text(150), "99 rounds", "at most 5", flags=("--rounds", "99"), code=2),
    Case("tape and another market", ("run", "--tape", "tape.csv", "--market", "gbm", "--out", "new"), 2,
         ("--market", "'gbm'", "drop"), text("tape.csv", tape_text(150))),
]  # fmt: skip

DIRECTORIES = [
    Case("out holds a run", ("run", "small", "--out", "run"), 2, ("run", "resume")),
    Case("out holds something else", ("run", "small", "--out", "full"), 2, ("full", "not empty"),
         text("full/thesis.txt", "mine")),
    Case("out is a file", ("run", "small", "--out", "taken"), 2, ("taken", "file"), text("taken", "x")),
    Case("out lies in a file", ("run", "small", "--out", "taken/inner"), 5, ("taken/inner",), text("taken", "x")),
    Case("out name far too long", ("run", "small", "--out", "x" * 300), 5, ("x" * 50,)),
    Case("population beyond memory", ("run", "--set", "arena.seats=65536", "--set", "mind.replay_capacity=100000000",
                                      "--out", "new"), 5, ("GiB", "lower arena.seats")),
    Case("config init over a file", ("config", "init", "--out", "taken"), 2, ("taken", "exists"), text("taken", "x")),
    Case("config init over a directory", ("config", "init", "--out", "sub"), 2, ("sub", "exists"), folder("sub")),
    Case("config init into nowhere", ("config", "init", "--out", "no/where.toml"), 5, ("no/where.toml", "path")),
    Case("config init of a wrong scenario", ("config", "init", "eazy", "--out", "new"), 2, ("did you mean 'easy'",)),
    Case("resume of nothing", ("resume", "nothing"), 2, ("nothing", "no run")),
    Case("resume of an empty directory", ("resume", "empty"), 2, ("empty", "no run"), folder("empty")),
    Case("resume of a file", ("resume", "taken"), 2, ("taken", "no run"), text("taken", "x")),
    Case("resume of a text file as database", ("resume", "odd"), 4, ("odd/run.sqlite", "not an SQLite database"),
         text("odd/run.sqlite", "hello " * 100)),
    Case("resume of an empty database", ("resume", "odd"), 4, ("odd/run.sqlite",),
         text("odd/run.sqlite", "")),
    Case("resume of a foreign database", ("resume", "odd"), 4, ("odd/run.sqlite", "not a lineage-arena run"),
         lambda where: foreign(where / "odd" / "run.sqlite")),
    Case("resume of a newer schema", ("resume", "run"), 4, ("run.sqlite", "newer"), spoil("PRAGMA user_version = 999")),
    Case("resume of an unfinished schema", ("resume", "run"), 4, ("run.sqlite", "schema 0"),
         spoil("PRAGMA user_version = 0")),
    Case("resume of a truncated database", ("resume", "run"), 4, ("run.sqlite",), truncate(9000)),
    Case("resume of a database full of noise", ("resume", "run"), 4, ("run.sqlite",),
         overwrite(4096, bytes(range(1, 251)) * 400)),
    Case("resume with another build's numbers", ("resume", "run"), 4, ("another build",),
         lambda where: versions_changed(where / "run" / "run.sqlite")),
    Case("verify of nothing", ("verify", "nothing"), 2, ("nothing", "no run")),
    Case("verify of an empty directory", ("verify", "empty"), 2, ("empty", "no run"), folder("empty")),
]  # fmt: skip

CUDA = [Case("no such device", ("run", "small", "--device", "cuda", "--out", "new"), 5, ("CUDA", "--device cpu"))]

CASES = FLAGS + SCENARIOS + SETTINGS + FILES + TAPES + DIRECTORIES + ([] if torch.cuda.is_available() else CUDA)


def foreign(path: Path) -> None:
    """Write somebody else's database."""
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE diary (day TEXT)")
    connection.commit()
    connection.close()


def versions_changed(path: Path) -> None:
    """Pretend that a run was recorded with another build."""
    connection = sqlite3.connect(path)
    for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute("""UPDATE run SET versions_json = '{"torch":"0.1"}'""")
    connection.commit()
    connection.close()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished tiny run, to be copied and spoiled."""
    directory = tmp_path_factory.mktemp("finished") / "run"
    done = call("run", "small", *tiny(), "--rounds", "4", "--out", directory, "--quiet")
    assert done.code == 0, done.err
    return directory


def contents(where: Path) -> dict[str, str]:
    """Return the hash of every file, and every directory, below a folder; not what an open database leaves."""
    passing = re.compile(r"(-wal|-shm|run\.lock|log\.jsonl)$")
    return {
        str(path.relative_to(where)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in sorted(where.rglob("*"))
        if not passing.search(path.name) and "state" not in path.parts
    }


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_bad_input_gets_one_line(
    case: Case, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code, one line that names what is wrong, empty stdout, and the directory as it was."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    if "run" in case.arguments[1:]:
        shutil.copytree(finished, tmp_path / "run")
    if case.prepare is not None:
        case.prepare(tmp_path)
    before = contents(tmp_path)
    done = call(*case.arguments, env=case.env)
    assert (done.code, done.err.count("\n")) == (case.code, 1), done.err
    assert done.err.startswith("error: ")
    assert done.out == ""
    assert "Traceback" not in done.err
    assert done.err.rstrip("\n").isprintable()
    for needle in case.needles:
        assert needle in done.err
    assert contents(tmp_path) == before


def test_there_are_enough_cases_and_no_two_alike() -> None:
    """The table keeps its size."""
    assert len(CASES) >= 100
    assert len({case.name for case in CASES}) == len(CASES)


def test_the_table_would_notice_a_traceback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Sabotage: without the guard, a wrong scenario leaves as an exception."""
    monkeypatch.setattr("tui.diagnostics.guarded", lambda command: command())
    with pytest.raises(Exception, match="smal"):
        call("run", "smal", "--out", tmp_path / "new")


def test_a_second_writer_is_refused_with_the_owners_pid(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 5 within a second, the first writer's run untouched."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(finished, tmp_path / "run")
    from lineage import engine

    with engine.resume(tmp_path / "run"):
        before = contents(tmp_path)
        done = call("resume", "run")
        assert done.code == 5
        assert f"process {os.getpid()} is writing" in done.err
        assert done.err.count("\n") == 1
        assert contents(tmp_path) == before


def limited(limit: int, where: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the program with a largest file size, as on a disk that fills up."""
    program = (
        "import resource, sys; from tui.cli import invoke;"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}));"
        "sys.exit(invoke(sys.argv[1:]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(where / "state")}
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True, text=True, check=False, cwd=where, env=environment,
    )  # fmt: skip


def test_a_disk_that_is_full_from_the_start_leaves_nothing(tmp_path: Path) -> None:
    """Exit 5, one line, no run directory."""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    done = limited(2048, tmp_path, "run", "small", *tiny(), "--rounds", "4", "--out", "new")
    assert done.returncode == 5, done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "new").exists()


def test_a_disk_that_fills_up_stops_the_run_and_resume_goes_on(tmp_path: Path) -> None:
    """Exit 5 in the middle; with space again the run ends on the head of one that was never disturbed."""
    import json

    arguments = ("run", "small", *tiny(), "--rounds", "60", "--quiet", "--json")
    whole = json.loads(call(*arguments, "--out", tmp_path / "whole").out)
    size = (tmp_path / "whole" / "run.sqlite").stat().st_size
    done = limited(size // 2, tmp_path, *arguments, "--out", "cut")
    assert done.returncode == 5, done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    resumed = call("resume", tmp_path / "cut", "--json")
    assert resumed.code == 0, resumed.err
    assert json.loads(resumed.out)["head"] == whole["head"]
