"""Control of an own engine: it does what it is told, and nothing of that enters the history."""

import asyncio
import json
import os
import time
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineage import engine
from lineage.ask.archive import Archive, Wish
from lineage.ask.retrace import retrace
from lineage.ask.trace import read_trace
from lineage.ask.why import explain
from lineage.control import MAX_SPEED, Control, Orders
from lineage.record.schema import connect_reader
from lineage.record.store import FILE_NAME
from tests.runs import SEED, history_of, lively, play, verified
from tui.app import ArenaApp
from tui.control import EngineProcess
from tui.recompute import Recomputer
from tui.screens.agent import decision_lines
from tui.screens.market import fill_lines
from tui.snapshot import screen_text
from tui.theme import SYMBOLS, Look

LOOK = Look("arena", SYMBOLS["braille"])
CONFIG = lively()


class Channel:
    """Both ends of the pipes between an app and an engine."""

    def __init__(self) -> None:
        self.commands, self._write = os.pipe()
        self._read, self.reports = os.pipe()
        os.set_blocking(self._read, False)
        self.open = True

    def say(self, text: str) -> None:
        """Send a command."""
        os.write(self._write, f"{text}\n".encode())

    def heard(self) -> list[dict[str, object]]:
        """Return the reports so far."""
        try:
            return [json.loads(line) for line in os.read(self._read, 10**6).splitlines()]
        except BlockingIOError:
            return []

    def hang_up(self) -> None:
        """Close the app's end of the commands."""
        if self.open:
            os.close(self._write)
            self.open = False

    def close(self) -> None:
        """Close everything."""
        self.hang_up()
        for one in (self.commands, self._read, self.reports):
            os.close(one)


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The head of the run when nobody looks on."""
    return play(tmp_path_factory.mktemp("alone") / "run", CONFIG).head


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("pause", Orders(paused=True)), ("play", Orders()), ("step", Orders(paused=True, steps=1)),
        ("step 7", Orders(paused=True, steps=7)), ("speed 2.5", Orders(speed=2.5)), ("speed 0", Orders()),
        ("stop", Orders(stopping=True)), ("  pause  ", Orders(paused=True)),
    ],
)  # fmt: skip
def test_commands_are_obeyed(line: str, wanted: Orders) -> None:
    """Each command adds up to its orders."""
    orders = Orders()
    assert orders.obey(line) == ""
    assert orders == wanted


@given(st.text(max_size=60))
def test_nothing_that_is_said_breaks_the_engine(line: str) -> None:
    """A line is obeyed or refused in words; orders stay sane."""
    orders = Orders()
    refused = orders.obey(line)
    assert not refused or orders == Orders()
    assert 0.0 <= orders.speed <= MAX_SPEED


@pytest.mark.parametrize(
    "line", ["", "paus", "speed", "speed x", "speed nan", "speed -1", "speed 1e9", "step 0", "step x"]
)
def test_wrong_commands_are_refused(line: str) -> None:
    """The known ones are named."""
    assert "known: pause" in Orders().obey(line)


def test_a_paused_and_stepped_run_has_the_same_head(tmp_path: Path, head: str) -> None:
    """Headless, or paused, single-stepped, slowed and watched round by round: the same history, byte for byte."""
    channel = Channel()
    control = Control(channel.commands, channel.reports)
    archive: list[Archive] = []
    reports = []
    with engine.start(tmp_path / "run", CONFIG, SEED) as started:
        channel.say("pause")
        channel.say("step 3")

        def on_round(running: engine.Engine) -> None:
            archive[:] = archive or [Archive(tmp_path / "run")]
            archive[0].refresh()
            assert archive[0].frame(Wish(agent_id=1)).round == running.rounds_done - 1
            reports.extend(channel.heard())
            if running.rounds_done == 2:
                channel.say("speed 300")
                channel.say("nonsense")
            if running.rounds_done == 3:
                channel.say("step")
            if running.rounds_done == 4:
                channel.say("play")

        summary = started.run(on_round=on_round, should_stop=lambda: control.gate(started))
    archive[0].close()
    channel.close()
    assert summary.head == head
    assert verified(tmp_path / "run", head, replay=False).ok
    assert {report.get("state") for report in reports} >= {"playing"}
    assert any("refused" in report for report in reports)
    rounds = [int(str(report["round"])) for report in reports if "round" in report]
    assert rounds == sorted(rounds)


def test_an_app_that_hangs_up_stops_its_engine(tmp_path: Path, head: str) -> None:
    """The other end of the pipe gone means stop with a checkpoint; resuming leads to the same head."""
    channel = Channel()
    control = Control(channel.commands, channel.reports)

    def on_round(running: engine.Engine) -> None:
        if running.rounds_done == 7:
            channel.hang_up()

    with engine.start(tmp_path / "run", CONFIG, SEED) as started:
        summary = started.run(on_round=on_round, should_stop=lambda: control.gate(started))
    channel.close()
    assert (summary.status, summary.rounds) == ("interrupted", 7)
    with engine.resume(tmp_path / "run") as resumed:
        assert resumed.run().head == head


def test_a_paused_engine_notices_a_signal(tmp_path: Path) -> None:
    """Ctrl-C reaches an engine that waits."""
    channel = Channel()
    control = Control(channel.commands, channel.reports)
    channel.say("pause")
    with engine.start(tmp_path / "run", CONFIG, SEED) as started:
        began = time.monotonic()
        summary = started.run(should_stop=lambda: control.gate(started, lambda: time.monotonic() - began > 0.2))
    channel.close()
    assert summary.rounds == 0


def test_an_engine_never_waits_for_a_reader(tmp_path: Path, head: str) -> None:
    """Reports that nobody reads are dropped; the run goes on."""
    channel = Channel()
    os.set_blocking(channel.reports, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(channel.reports, b"x" * 4096)
    control = Control(channel.commands, channel.reports)
    with engine.start(tmp_path / "run", CONFIG, SEED) as started:
        assert started.run(should_stop=lambda: control.gate(started)).head == head
    channel.close()


def test_a_recomputed_round_is_the_recorded_one(tmp_path: Path) -> None:
    """Every tick of a round, from a checkpoint and from the beginning: identical to the ledger, and it adds up."""
    play(tmp_path / "run", CONFIG)
    before = history_of(tmp_path / "run")
    with Archive(tmp_path / "run") as archive:
        while archive.refresh():
            pass
        for at in (2, 16):
            retrace(tmp_path / "run", at, tmp_path / f"{at}.trace")
            trace = read_trace(tmp_path / f"{at}.trace")
            assert trace.identical and "identical to the ledger" in trace.note
            assert ("the beginning" in trace.note) == (at == 2)
            frame = archive.frame(Wish(at=at))
            seen = 0
            for event in frame.events:
                if event.round == at and event.kind in ("death", "scar") and event.agent_id:
                    dossier = archive.frame(Wish(at=at, agent_id=event.agent_id)).dossier
                    assert dossier is not None
                    steps = explain(event, dossier, frame.info, frame.people, trace)
                    assert any(step.source == "recomputed" for step in steps)
            for agent in frame.seats["agent_id"].astype(int):
                decisions = trace.decisions(agent)
                dossier = archive.frame(Wish(at=at, agent_id=agent)).dossier
                assert dossier is not None
                if len(decisions) == 8:
                    reward = frame.seats["reward"][frame.seat_of(agent)]
                    assert sum(one.reward for one in decisions) == pytest.approx(reward, abs=1e-4)
                    assert all(
                        one.legal[one.action] or one.reason.startswith(("the stop", "sold")) for one in decisions
                    )
                    seen += 1
                assert decision_lines(dossier, trace, LOOK)
                assert fill_lines(frame, agent, trace, "", LOOK)
            assert seen >= 2
    assert history_of(tmp_path / "run") == before


def wait_until_over(recomputer: Recomputer) -> None:
    """Return when nothing is being recomputed any more, or a minute is over."""
    end = time.monotonic() + 60.0
    while recomputer.progress and time.monotonic() < end:
        time.sleep(0.05)


@pytest.mark.slow
def test_recomputing_happens_in_a_process_of_its_own(tmp_path: Path) -> None:
    """Progress, a result that is kept, a failure in words, and giving up."""
    with engine.start(tmp_path / "run", lively("rounds=4"), SEED) as started:
        started.run()
    recomputer = Recomputer(lambda: None)
    recomputer.start(tmp_path / "run", 1)
    assert "recomputing round 1" in recomputer.progress
    wait_until_over(recomputer)
    found = recomputer.get(tmp_path / "run", 1)
    assert found is not None and found.identical, recomputer.failure
    recomputer.start(tmp_path / "run", 1)
    assert not recomputer.progress  # known already
    recomputer.start(tmp_path / "run", 2)
    recomputer.cancel()
    assert not recomputer.progress


@pytest.mark.slow
def test_a_round_that_is_not_recorded_cannot_be_recomputed(tmp_path: Path) -> None:
    """The process' own words are the failure."""
    with engine.start(tmp_path / "run", lively("rounds=2"), SEED) as started:
        started.run()
    recomputer = Recomputer(lambda: None)
    recomputer.start(tmp_path / "run", 9)
    wait_until_over(recomputer)
    assert "not recorded" in recomputer.failure


def small(directory: Path, *more: str) -> list[str]:
    """Return a command line of a lively run."""
    from tests.runs import LIVELY

    sets = [part for text in (*LIVELY, *more) for part in ("--set", text)]
    return ["run", "small", "--seed", str(SEED), "--out", str(directory), *sets]


@pytest.mark.slow
def test_an_engine_of_its_own_is_watched_stepped_and_stopped(tmp_path: Path, head: str) -> None:
    """The whole way: a process, the app on it, pause, step, stop with checkpoint; resumed it is the same history."""

    async def run() -> list[str]:
        engine_process = EngineProcess(small(tmp_path / "run", "rounds=100000"))
        app = ArenaApp(tmp_path / "run", look=LOOK, engine=engine_process)
        seen = []
        async with app.run_test(size=(120, 40)) as pilot:
            seen.append(screen_text(app))
            await until(app, lambda: app.link.state == "playing" and app.frame is not None and app.frame.round > 1)
            engine_process.send("pause")
            await until(app, lambda: app.link.state == "paused")
            at = app.link.round
            engine_process.send("step")
            await until(app, lambda: app.link.round == at + 1)
            await until(app, lambda: app.frame is not None and app.frame.newest == at)
            await pilot.pause()
            seen.append(screen_text(app))
            engine_process.send("play")
            await until(app, lambda: app.link.round > at + 2)
        assert engine_process.stop(60.0) == 130
        assert engine_process.poll().state == "ended"
        return seen

    first, paused = asyncio.run(run())
    assert "STARTING" in first
    assert "PAUSED" in paused
    with closing(connect_reader(tmp_path / "run" / FILE_NAME)) as connection:
        assert connection.execute("SELECT count(*) FROM checkpoint").fetchone()[0] >= 1
        rounds = connection.execute("SELECT count(*) FROM round").fetchone()[0]
    assert verified(tmp_path / "run", engine_head(tmp_path / "run"), replay=True).ok
    assert rounds > 3


def engine_head(directory: Path) -> str:
    """Return the head of the newest recorded round."""
    with closing(connect_reader(directory / FILE_NAME)) as connection:
        return str(connection.execute("SELECT head FROM round ORDER BY round DESC LIMIT 1").fetchone()[0])


async def until(app: ArenaApp, true: object, seconds: float = 60.0) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:  # type: ignore[operator]
        app.pull()
        await asyncio.sleep(0.02)
    assert true(), (app.link, app.view.banner)  # type: ignore[operator]


@pytest.mark.slow
def test_an_engine_that_dies_leaves_a_banner_and_the_last_frame(tmp_path: Path) -> None:
    """Killed from outside while it is watched; the app lives on and says what is left."""

    async def run() -> str:
        engine_process = EngineProcess(small(tmp_path / "run", "rounds=100000"))
        app = ArenaApp(tmp_path / "run", look=LOOK, engine=engine_process)
        async with app.run_test(size=(140, 40)) as pilot:
            await until(app, lambda: app.frame is not None and app.frame.round > 1)
            engine_process.kill()
            await until(app, lambda: app.link.state == "gone")
            await pilot.pause()
            return screen_text(app)

    text = asyncio.run(run())
    assert "ENGINE GONE" in text
    assert "the engine has gone" in text
    assert "Population" in text


def test_an_engine_that_cannot_start_says_why(tmp_path: Path) -> None:
    """Its own line of error is what the banner shows."""
    process = EngineProcess(["run", "nonsense", "--out", str(tmp_path / "run")])
    end = time.monotonic() + 60.0
    while process.poll().state != "gone" and time.monotonic() < end:
        time.sleep(0.05)
    assert "nonsense" in process.poll().message
    process.stop(1.0)
