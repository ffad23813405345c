"""Every action is reached by its key and does what the table says; nothing that is pressed breaks the app."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from textual import events
from textual.widgets import Input

from arena.errors import ConfigError
from arena.rng import stream
from tests.films import ROUNDS
from tests.screens import Puppet, Stage, staged
from tui import doing
from tui.actions import ACTIONS, SCREENS, Situation, keymap_path, of_screen, with_keymap
from tui.app import NOTICE_SECONDS
from tui.model import RESORT_SECONDS, Link, View, columns_of, ranked
from tui.screens.agent import AgentScreen
from tui.screens.arena import ArenaScreen
from tui.screens.dialogue import Dialogue
from tui.screens.help import HelpScreen
from tui.screens.lineage import LineageScreen
from tui.screens.market import MarketScreen
from tui.screens.palette import Palette, matching
from tui.screens.runs import RunsScreen
from tui.screens.training import TrainingScreen
from tui.screens.why import WhyScreen
from tui.theme import SYMBOLS, THEMES, Look
from tui.widgets.base import ListPane
from tui.widgets.events import EventList
from tui.widgets.lineage import LineageTree
from tui.widgets.population import Population

Check = Callable[[Stage], Awaitable[None]]


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written anywhere else, and nothing is recomputed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tui.recompute.Recomputer.start", lambda self, *given: CALLS.append(given[1]))
    CALLS.clear()


CALLS: list[int] = []
PAGES = {
    "arena": ArenaScreen, "lineage": LineageScreen, "agent": AgentScreen, "training": TrainingScreen,
    "market": MarketScreen, "runs": RunsScreen,
}  # fmt: skip


def test_every_action_has_something_to_do() -> None:
    """The table and the functions name the same actions; keys are not given away twice on a screen."""
    assert {action.id for action in ACTIONS} == set(doing.DO)
    for screen in SCREENS:
        keys = [key for action in of_screen(ACTIONS, screen) for key in action.keys]
        assert len(keys) == len(set(keys)), screen


async def _press_all(stage: Stage) -> list[str]:
    """Press the first key of every action where it belongs; return what did not have its effect."""
    app, view = stage.app, stage.app.view
    puppet = stage.puppet
    assert puppet is not None
    wrong: list[str] = []

    async def expect(action_id: str, true: Callable[[], bool], *extra: str) -> None:
        action = next(one for one in ACTIONS if one.id == action_id)
        await stage.press(action.keys[0], *extra)
        if not true():
            wrong.append(action_id)
        done.add(action_id)

    done: set[str] = set()
    for name in SCREENS[::-1]:
        await expect(f"show_{name}", lambda name=name: view.screen == name and isinstance(app.screen, PAGES[name]))  # type: ignore[misc]
    table = app.screen.query_one(Population)
    await expect("pause", lambda: puppet.heard[-1] == "pause")
    await expect("step", lambda: puppet.heard[-1] == "step")
    await expect("slower", lambda: puppet.heard[-1] == "speed 20")
    await expect("faster", lambda: puppet.heard[-1] == "speed 0")
    await expect("stop", lambda: puppet.heard[-1] == "stop")
    await expect("down", lambda: table.cursor == 1)
    await expect("up", lambda: table.cursor == 0)
    await expect("page_down", lambda: table.cursor == table.page)
    await expect("page_up", lambda: table.cursor == 0)
    await expect("bottom", lambda: table.cursor == table.count() - 1)
    await expect("top", lambda: table.cursor == 0)
    await expect("sort", lambda: view.sort == "id")
    await expect("reverse", lambda: view.descending)
    await expect("filter", lambda: view.filter_text == "gen>0", *"gen>0", "enter")
    await expect("back", lambda: view.filter_text == "", "escape", "escape")
    await expect("follow", lambda: view.followed == view.selected)
    await stage.press("f")
    await expect("mark", lambda: view.marks == (view.selected,))
    await expect("log", lambda: view.log_scale)
    await expect("travel", lambda: view.at == ROUNDS - 1)
    await expect("earlier", lambda: view.at == ROUNDS - 2)
    await expect("much_earlier", lambda: view.at == ROUNDS - 12)
    await expect("later", lambda: view.at == ROUNDS - 11)
    await expect("much_later", lambda: view.at == ROUNDS - 1)
    await expect("live", lambda: view.at is None)
    await expect("go", lambda: view.selected == 70, *"#70", "enter")
    await expect("heir", lambda: view.selected != 70 or "no children" in view.notice)
    await stage.press(*":#70", "enter")
    await expect("parent", lambda: view.selected == int(app.frame.people.parent[69]) + 1)  # type: ignore[union-attr]
    await expect("theme", lambda: app.look.theme == THEMES[1] == app.theme)
    await expect("picture", lambda: len(list(Path.cwd().glob("*.svg"))) == 1)
    await expect("pane", lambda: isinstance(app.focused, EventList))
    await expect("inspect", lambda: isinstance(app.screen, WhyScreen) or "no chain of causes" in view.notice)
    await stage.press("escape")
    await expect("help", lambda: isinstance(app.screen, HelpScreen))
    await stage.press("escape")
    await expect("why", lambda: isinstance(app.screen, WhyScreen))
    await stage.press("escape", "3")
    await expect("recompute", lambda: CALLS[-1] == ROUNDS - 1)
    await stage.press("end", "2")
    await expect("whole", lambda: view.whole_tree)
    tree = app.screen.query_one("#tree", LineageTree)
    before = tree.count()
    await stage.press("g")
    await expect("fold", lambda: tree.count() <= before)
    await expect("palette", lambda: isinstance(app.screen, Palette))
    await stage.press("escape")
    done.add("market_next")  # blocked with one market: its own test
    assert done | {"quit"} == {action.id for action in ACTIONS}
    return wrong


def test_every_action_is_reached_by_its_key() -> None:
    """Each key does what its action says, in one sitting."""

    async def run() -> list[str]:
        async with staged((100, 30), puppet=Puppet()) as stage:
            return await _press_all(stage)

    assert asyncio.run(run()) == []


@pytest.mark.parametrize("key", ["q", "ctrl+q", "ctrl+c"])
def test_the_app_is_left_by_its_keys(key: str) -> None:
    """Quit ends the app with exit code 0."""

    async def run() -> int | None:
        async with staged() as stage:
            await stage.pilot.press(key)
            await stage.pilot.pause()
            return stage.app.return_value

    assert asyncio.run(run()) == 0


def test_a_disabled_action_says_why() -> None:
    """In words that name the cure, in the footer, and beside it in the palette."""

    async def run() -> None:
        async with staged() as stage:
            await stage.press("space")
            assert "only watched" in stage.app.view.notice
            assert "only watched" in stage.text()
            await stage.press("escape", "n")
            assert "one market" in stage.app.view.notice
            await stage.press("left")
            assert "press t" in stage.app.view.notice
            await stage.press("o")
            assert "lineage" in stage.app.view.notice
            await stage.press("ctrl+p", *"pause")
            assert "not now: this run is only watched" in stage.text()
            await stage.press("escape", "ctrl+p", *"lineage", "enter")
            assert stage.app.view.screen == "lineage"
            assert len(matching(ACTIONS, "")) == len(ACTIONS)

    asyncio.run(run())


@pytest.mark.parametrize("size", [(60, 20), (80, 24)])
def test_a_reason_is_read_whole_in_the_palette(size: tuple[int, int]) -> None:
    """The list cuts it at the window's edge; below stands all that is said of the action under the cursor."""

    def told(stage: Stage) -> str:
        place = stage.app.screen.query_one("#told").region
        lines = stage.text().split("\n")[place.y : place.bottom]
        return " ".join(" ".join(line[place.x : place.right] for line in lines).split())

    async def run() -> None:
        async with staged(size) as stage:
            await stage.press("ctrl+p")
            assert told(stage) == ACTIONS[0].help
            await stage.press("down")
            assert told(stage) == ACTIONS[1].help
            await stage.press(*"pause")
            reason = next(action for action in ACTIONS if action.id == "pause").blocked(stage.app.situation())
            assert told(stage) == f"not now: {reason}"
            await stage.press(*"xyz")
            assert told(stage) == "nothing is called so"
            assert stage.app.screen.query_one("#found").size.height >= 4

    asyncio.run(run())


@pytest.mark.parametrize("state", ["none", "starting", "playing", "paused", "stopping", "ended", "gone"])
def test_reasons_are_one_line_in_every_state(state: str) -> None:
    """Whatever the engine does and whether anything is recorded, `blocked` answers."""
    for screen in SCREENS:
        for action in ACTIONS:
            reason = action.blocked(Situation(screen, None, View(), Link(state), own=state != "none"))
            assert "\n" not in reason
            assert len(reason) < 160


def test_following_hops_to_the_heir() -> None:
    """When the followed agent dies, its eldest living descendant is followed; the person is told."""

    async def run() -> None:
        def early(projector: object) -> None:
            projector.newest = 10  # type: ignore[attr-defined]

        async with staged(prepare=early) as stage:
            app = stage.app
            frame = app.frame
            assert frame is not None
            mortal = next(
                row for row in range(len(frame.people))
                if frame.people.alive_at(10)[: row + 1][-1:].any() and stage_heir(row) is not None
            )  # fmt: skip
            app.view.select(mortal + 1)
            app.view.followed = mortal + 1
            stage.projector.newest = ROUNDS - 1
            await stage.settle()
            assert app.view.followed == (stage_heir(mortal) or 0) + 1
            assert "now following its heir" in app.view.notice

    def stage_heir(row: int) -> int | None:
        from tests.films import people

        last = people(ROUNDS - 1)
        return None if last.alive_at(ROUNDS - 1)[row] else last.heir(row, ROUNDS - 1)

    asyncio.run(run())


def test_the_cursor_stays_on_its_agent_while_rows_move() -> None:
    """Rows change places at most every two seconds; when they do, the cursor goes with its agent."""

    async def run() -> None:
        def early(projector: object) -> None:
            projector.newest = 30  # type: ignore[attr-defined]

        async with staged(prepare=early) as stage:
            await stage.press("j", "j", "j")
            chosen, order = stage.app.view.selected, stage.app.view.order.ids
            stage.projector.newest = 31
            await stage.settle()
            kept = [one for one in stage.app.view.order.ids if one in order]
            assert kept == [one for one in order if one in kept]
            stage.clock[0] += 3.0
            stage.projector.newest = 32
            await stage.settle()
            table = stage.app.screen.query_one(Population)
            assert stage.app.view.order.ids[table.cursor] == stage.app.view.selected == chosen

    asyncio.run(run())


def test_the_mouse_reaches_everything() -> None:
    """Tabs, heads, rows, the footer and the time line can be clicked."""

    async def run() -> None:
        async with staged((120, 40)) as stage:
            app = stage.app
            header = stage.text().split("\n")[0]
            await stage.pilot.click("#header", offset=(header.index("5 Market"), 0))
            await stage.settle()
            assert app.view.screen == "market"
            await stage.pilot.click("#header", offset=(header.index("1 Arena"), 0))
            await stage.settle()
            heads = stage.text().split("\n")[3]
            await stage.pilot.click("#population", offset=(heads.index("gen"), 1))
            await stage.settle()
            assert app.view.sort == "gen"
            await stage.pilot.click("#population", offset=(5, 5))
            await stage.settle()
            assert app.screen.query_one(Population).cursor == 3
            await stage.press("t")
            await stage.pilot.click("#scrubber", offset=(20, 0))
            await stage.settle()
            assert app.view.at is not None and app.view.at < ROUNDS // 3
            footer = stage.text().split("\n")[-1]
            await stage.pilot.click("#footer", offset=(footer.index("end Live"), 0))
            await stage.settle()
            assert app.view.at is None

    asyncio.run(run())


def test_a_keymap_of_ones_own(tmp_path: Path) -> None:
    """Keys of a file replace the table's; a key that it takes is taken from the other action."""
    path = tmp_path / "keys.toml"
    path.write_text('[keys]\npause = "p"\nfollow = ["F", "/"]\n')
    mine = {action.id: action.keys for action in with_keymap(ACTIONS, path)}
    assert mine["pause"] == ("p",)
    assert mine["follow"] == ("F", "slash")
    assert mine["filter"] == ()
    assert with_keymap(ACTIONS, tmp_path / "none.toml") == ACTIONS
    assert keymap_path().name == "keys.toml"

    async def run() -> None:
        async with staged(puppet=(puppet := Puppet()), actions=with_keymap(ACTIONS, path)) as stage:
            await stage.press("p")
            assert puppet.heard == ["pause"]
            assert " p Pause" in stage.text()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("keys = 3", "only a table"), ('[keyss]\npause = "p"', "keyss"), ("[keys", "not TOML"),
        ('[keys]\npausee = "p"', "did you mean 'pause'"), ("[keys]\npause = 3", "not a key"),
        ("[keys]\npause = []", "not a key"), ('[keys]\npause = ["\\u0000"]', "not a key"),
        ('[keys]\npause = ["p", 3]', "not a key"), ('[keys]\npause = ""', "not a key"),
        ('[keys]\npause = "p"\nstep = ["x", "p"]', "'p' is given twice"),
    ],
)  # fmt: skip
def test_a_wrong_keymap_is_named(tmp_path: Path, text: str, words: str) -> None:
    """One line: the file, the action, the cure."""
    path = tmp_path / "keys.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words) as caught:
        with_keymap(ACTIONS, path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


PRESSED = tuple(key for action in ACTIONS for key in action.keys if action.id not in ("quit", "picture")) + tuple(
    "x1:9#>"
)
SIZES = ((80, 24), (160, 45), (60, 20), (41, 13), (20, 5), (1, 1), (200, 60))


async def _storm(sequences: int, length: int, seed: int) -> int:
    """Press random keys in random sizes; return how many were pressed without a crash."""
    random = stream(seed, "keys")
    pressed = 0
    async with staged(puppet=Puppet()) as stage:
        for _ in range(sequences):
            width, height = SIZES[int(random.integers(len(SIZES)))]
            await stage.pilot.resize_terminal(width, height)
            for place in random.integers(len(PRESSED), size=length):
                key = PRESSED[int(place)]
                stage.app.post_message(events.Key(key, key if len(key) == 1 else None))
                pressed += 1
            stage.app.pull()
            await stage.pilot.pause()
            stage.projector.newest = int(random.integers(0, ROUNDS))
            assert stage.app.is_running
            assert stage.app._exception is None
    return pressed


def test_random_keys_do_no_harm() -> None:
    """A sample of key sequences in windows from 1x1 to 200x60; the rest is slow."""
    assert asyncio.run(_storm(12, 25, 1)) == 300


@pytest.mark.slow
def test_five_hundred_random_key_sequences_do_no_harm() -> None:
    """The same, five hundred times fifty keys."""
    assert asyncio.run(_storm(500, 50, 2)) == 25_000


def test_a_storm_of_sizes_does_no_harm() -> None:
    """Windows that change all the time, on every screen, with a dialogue open and without."""

    async def run() -> None:
        async with staged() as stage:
            for number, name in enumerate(SCREENS):
                stage.app.action_act(f"show_{name}")
                if number % 5 == 0:
                    stage.app.action_act("help")
                for width, height in SIZES[number % 2 :: 2]:
                    await stage.pilot.resize_terminal(width, height)
                stage.app.action_act("back")
            await stage.settle()
            assert stage.app._exception is None

    asyncio.run(run())


def test_dialogues_scroll_with_the_same_keys() -> None:
    """Vim keys move a text too, and escape closes it."""

    async def run() -> None:
        async with staged((80, 16), look=Look("mono", SYMBOLS["ascii"])) as stage:
            await stage.press("question_mark")
            assert isinstance(stage.app.screen, Dialogue)
            top = stage.text()
            await stage.press("j", "j", "pagedown")
            assert stage.text() != top
            await stage.press("g")
            assert stage.text() == top
            await stage.press("escape")
            assert not isinstance(stage.app.screen, Dialogue)

    asyncio.run(run())


def test_lists_scroll_by_themselves() -> None:
    """The wheel scrolls without moving the cursor; the cursor's moves bring it back into sight."""

    async def run() -> None:
        async with staged((80, 24)) as stage:
            table = stage.app.screen.query_one(Population)
            table.scroll_lines(5)
            assert (table.top, table.cursor) == (5, 0)
            await stage.press("j")
            assert (table.top, table.cursor) == (1, 1)
            table.move(10**9)
            assert table.cursor == table.count() - 1
            assert table.top == table.count() - table.room
            assert isinstance(table, ListPane)

    asyncio.run(run())


def test_speeds_are_a_ladder() -> None:
    """Slower from full speed begins at the fastest step; faster from it stays."""

    async def run() -> None:
        puppet = Puppet(Link("playing", 60, 2.0))
        async with staged(puppet=puppet) as stage:
            await stage.press("plus")
            puppet.link = Link("playing", 60, 5.0)
            await stage.settle()
            await stage.press("minus", "minus")
            assert puppet.heard == ["speed 5", "speed 2", "speed 2"]

    asyncio.run(run())


def test_the_prompt_stays_open_until_it_can_be_read() -> None:
    """A wrong filter is told at once, and nothing is filtered by it."""

    async def run() -> None:
        async with staged() as stage:
            await stage.press("slash", *"gen>x", "enter")
            prompt = stage.app.screen.query_one("#prompt", Input)
            assert prompt.display and "not a number" in stage.text()
            assert stage.app.view.filter == ()
            await stage.press("escape")
            assert not prompt.display
            await stage.press("colon", *"999", "enter")
            assert "newest round" in stage.text()

    asyncio.run(run())


def test_a_notice_stays_its_whole_time_when_it_is_said_again() -> None:
    """The second of two same answers is not taken away with the first."""

    async def run() -> None:
        async with staged() as stage:
            await stage.press("space")
            stage.clock[0] += NOTICE_SECONDS - 0.1
            await stage.press("space")
            stage.clock[0] += NOTICE_SECONDS - 0.1
            await stage.settle()
            assert "only watched" in stage.text()
            stage.clock[0] += 0.2
            await stage.settle()
            assert "only watched" not in stage.text()

    asyncio.run(run())


@pytest.mark.parametrize("screen", ["arena", "agent"])
def test_why_says_why_not(screen: str) -> None:
    """On an event that nothing explains: in the footer, dim there, with the kinds that would do; by Enter too."""

    async def run() -> None:
        async with staged() as stage:
            app = stage.app
            await stage.press(*":#3", "enter")
            app.action_act(f"show_{screen}")
            await stage.settle()
            events_ = app.screen.query_one("#own" if screen == "agent" else "#events", EventList)
            events_.focus()
            await stage.settle()
            events_.place(next(i for i, one in enumerate(events_.listed) if one.kind == "alarm"))
            for key in ("w", "enter"):
                await stage.press(key)
                assert not isinstance(app.screen, WhyScreen)
                assert "an alarm has no chain of causes" in stage.text().split("\n")[-1]
                await stage.press("escape")

    asyncio.run(run())


def test_a_finished_run_says_what_became_of_it_and_plays_again() -> None:
    """A line above the footer; t and space play the rounds from the first one, and it ends at the last."""

    async def run() -> None:
        def over(projector: object) -> None:
            projector.closed = True  # type: ignore[attr-defined]

        async with staged((80, 24), prepare=over) as stage:
            app, view = stage.app, stage.app.view
            assert "over: 60 rounds, 84 born" in stage.text()
            await stage.press("t", "space")
            assert view.playing and view.at is not None and view.at < ROUNDS - 1
            assert "PLAYING" in stage.text() and "over: 60 rounds" not in stage.text()
            at = view.at
            for _ in range(3):
                await stage.settle()
            assert at < view.at < ROUNDS - 1
            await stage.press("left")
            assert not view.playing
            view.at = ROUNDS - 2
            await stage.press("space")
            for _ in range(3):
                await stage.settle()
            assert (view.at, view.playing) == (ROUNDS - 1, False)
            await stage.press("end")
            assert "over: 60 rounds" in stage.text()
            assert app.return_value is None
            for width in (60, 41):
                await stage.pilot.resize_terminal(width, 20)
                await stage.settle()
                line = stage.text().split("\n")[-2]
                assert "over: " in line
                assert line.endswith("t space replay, 6 runs")

    asyncio.run(run())


def test_rows_of_a_finished_run_are_sorted_at_once() -> None:
    """Nothing moves any more, so nobody has to wait for the order of the last round."""

    async def run() -> None:
        def early(projector: object) -> None:
            projector.newest = 30  # type: ignore[attr-defined]

        async with staged(prepare=early) as stage:
            stage.projector.newest, stage.projector.closed = ROUNDS - 1, True
            await stage.settle()
            frame = stage.app.frame
            assert frame is not None
            wanted = ranked(frame, stage.app.view, columns_of(frame))
            assert stage.app.view.order.rows.tolist() == wanted.tolist()

    asyncio.run(run())


def test_rows_of_a_paused_run_are_sorted_after_a_moment() -> None:
    """No other round comes that would be sorted, and still nobody looks at a wrong order for long."""

    async def run() -> None:
        def early(projector: object) -> None:
            projector.newest = 30  # type: ignore[attr-defined]

        async with staged(puppet=Puppet(), prepare=early) as stage:
            stage.projector.newest = ROUNDS - 1
            await stage.settle()
            frame = stage.app.frame
            assert frame is not None
            wanted = ranked(frame, stage.app.view, columns_of(frame)).tolist()
            assert stage.app.view.order.rows.tolist() != wanted
            stage.clock[0] += RESORT_SECONDS
            await stage.settle()
            assert stage.app.view.order.rows.tolist() == wanted

    asyncio.run(run())


def test_a_choice_is_asked_for_while_another_answer_is_worked_on() -> None:
    """Travelling does not wait for the next refresh: the newest wish wins."""

    async def run() -> None:
        async with staged() as stage:
            await stage.press("t")
            stage.projector.busy = True
            stage.app.action_act("earlier")
            assert stage.projector.asked.at == ROUNDS - 2

    asyncio.run(run())
