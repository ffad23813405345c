"""Screen 3: one agent: its life line, its account, its genome, its vital signs, its last decision."""

from collections.abc import Iterable

import numpy as np
from textual.containers import Vertical
from textual.widget import Widget

from arena.spec import ACTIONS
from lineage.ask.frames import FATES, PAPER, Dossier, Frame
from lineage.ask.trace import Trace
from tui import paint
from tui.paint import Part
from tui.screens.page import Page
from tui.theme import Look
from tui.widgets.chart import Chart, Curve, Picture
from tui.widgets.curves import Course, Curves
from tui.widgets.events import EventList
from tui.widgets.facts import Facts, fact
from tui.words import scar_meter

Lines = list[list[Part]]


class AgentScreen(Page):
    """A life."""

    def body(self) -> Iterable[Widget]:
        """Return who it is and what happened at the left, how it went and what it is made of at the right."""
        yield Vertical(Facts("Agent", id="who"), EventList(id="own", own=True), id="life_left")
        yield Vertical(
            Chart(id="life"), Facts("Last decision", id="decision"), Curves("Vital signs", id="vital"), id="life_middle"
        )
        yield Vertical(Facts("Genome", id="genome"), id="life_right")

    def fill(self, frame: Frame | None) -> None:
        """Draw the life of the selected agent."""
        dossier, app = frame.dossier if frame else None, self.arena
        if frame is None or dossier is None or not len(dossier.life["round"]):
            words = "nobody is selected: choose an agent on screen 1 or 2" if frame else "reading"
            self.query_one("#who", Facts).draw([[(words, app.look["dim"])]], "Agent")
            return
        self.query_one("#who", Facts).draw(who_lines(frame, dossier, app.look), f"Agent #{dossier.agent_id}")
        self.query_one("#life", Chart).draw(life_picture(dossier, app.look, log=app.view.log_scale))
        self.query_one("#genome", Facts).draw(genome_lines(dossier, app.look))
        self.query_one("#vital", Curves).draw(vital_courses(dossier))
        trace = app.recomputer.get(app.directory, frame.round)
        state = app.recomputer.progress or app.recomputer.failure
        self.set_class(trace is not None, "recomputed")  # its lines are the chart's until then
        lines = decision_lines(dossier, trace, app.look) if trace else unknown_lines(state, frame.round, app.look)
        self.query_one("#decision", Facts).draw(lines, "Last decision", f"of round {frame.round}")


def who_lines(frame: Frame, dossier: Dossier, look: Look) -> Lines:
    """Return name, fate, account, damage, kin, and whether the chain of events holds."""
    people, row, life, symbols = frame.people, dossier.agent_id - 1, dossier.life, look.symbols
    alive = bool(people.alive_at(frame.round)[row])
    parent = int(people.parent[row])
    now = {name: float(values[-1]) for name, values in life.items()}
    fate = FATES[int(people.fate[row])].replace("_", " ")
    word, role = ("alive", "birth") if alive else (f"{symbols.dead} {fate}", "death")
    if alive and now["status"] == PAPER:
        word, role = "apprentice on paper", "paper"
    meter, worn = scar_meter(now["damage"], symbols)
    trades, won = now["closed_trades"], now["won_trades"]
    children = people.children(row, frame.round)
    profit = now["equity"] - frame.info.endowment
    chain = (symbols.done, "birth", "chain holds") if dossier.chain_ok else (symbols.gone, "death", "CHAIN BROKEN")
    origin = f"round {int(people.birth_round[row])}, gen {int(people.depth[row])}"
    whose = f", child of #{parent + 1}" if parent >= 0 else ", a founder"
    traded = f"{int(trades)} closed, {100 * won / trades:.0f}% won" if trades else "none closed"
    illegal = f"  {int(now['invalid_actions'])} illegal" if now["invalid_actions"] else ""
    gain = f"{paint.signed(100 * profit / frame.info.endowment, symbols)}%"
    return [
        [(paint.clean(people.clan(row)), look.bold("text")), (f"  {word}", look[role])],
        fact(look, "born", ("text", origin + whose)),
        fact(
            look,
            "age",
            ("text", f"{int(now['age_rounds'])} rounds"),
            ("dim", "   kids "),
            ("birth", str(len(children))),
        ),
        fact(look, "equity", (f"*{paint.trend(profit)}", f"{now['equity']:,.2f} "), (paint.trend(profit), gain)),
        fact(look, "cash", ("text", f"{now['cash']:,.2f}  {now['shares']:,.2f} shares")),
        fact(look, "trades", ("text", traded), ("dim", illegal)),
        fact(look, "damage", (worn, f"{meter} {int(now['damage'])}"), ("dim", f"  {int(now['scars'])} scars")),
        [(f"{chain[0]} {chain[2]}: ", look[chain[1]]), (dossier.chain_note, look["dim"])],
    ]


def life_picture(dossier: Dossier, look: Look, *, log: bool) -> Picture:
    """Return the equity over a life, with its scars, births and end on the axis."""
    life = dossier.life
    own = look.symbols
    glyphs = {
        "scar": (own.scar, "scar"), "spawn": (own.born, "birth"), "death": (own.dead, "death"),
        "graduation": (own.grown, "accent"), "birth": (own.born, "accent"), "alarm": (own.alarm, "warn"),
    }  # fmt: skip
    order = ("scar", "alarm", "graduation", "birth", "spawn", "death")  # the later is written over the earlier
    happened = sorted(
        (event for event in dossier.events if event.kind in glyphs), key=lambda one: order.index(one.kind)
    )
    equity = np.where(life["status"] == PAPER, np.nan, life["equity"])
    paper = np.where(life["status"] == PAPER, life["equity"], np.nan)
    curves = [Curve("paper", paper, "paper")] if np.isfinite(paper).any() else []
    curves += [Curve("equity", equity, "accent")] if np.isfinite(equity).any() else []
    return Picture(
        "Life", tuple(curves), bars=np.diff(life["closed_trades"], prepend=0.0),
        first_round=float(life["round"][0]), last_round=float(life["round"][-1]), log=log,
        marks=tuple((float(event.round), *glyphs[event.kind]) for event in happened),
    )  # fmt: skip


def genome_lines(dossier: Dossier, look: Look) -> Lines:
    """Return every gene, and what changed against the parent."""
    lines: Lines = []
    for name, value in dossier.genes.items():
        parts: list[Part] = [
            (paint.fit(name.replace("_", " "), 20, look.symbols), look["dim"]),
            (f"{value:>9.4g} ", look["text"]),
        ]
        old = dossier.parent_genes.get(name)
        if old:
            change = 100.0 * (value / old - 1.0)
            parts.append((f"{paint.signed(change, look.symbols):>7}%", look[paint.trend(change)]))
        lines.append(parts)
    if not dossier.parent_genes:
        lines.append([("a founder's: nobody to compare with", look["faint"])])
    else:
        lines.append([("change against the parent", look["faint"])])
    return lines


def vital_courses(dossier: Dossier) -> list[Course]:
    """Return vital signs over the life."""
    life = dossier.life
    return [
        Course("reward", life["reward"], "birth"), Course("loss", life["loss"], "loss"),
        Course("entropy", life["entropy"], "accent"), Course("exploring", life["epsilon"], "scar"),
        Course("moved", life["weight_change"], "accent"), Course("gradient", life["grad_norm"], "dim"),
        Course("largest Q", life["q_max"], "dim"), Course("memory", life["replay_fill"], "dim"),
        Course("drawdown", life["drawdown"], "loss"),
    ]  # fmt: skip


def unknown_lines(state: str, round_index: int, look: Look) -> Lines:
    """Return what would bring the figures of a tick."""
    return [
        [("ticks are not recorded: Q-values, mask, rewards", look["dim"])],
        [(paint.clean(state) or f"press d: round {round_index} is computed again, compared", look["warn"])],
    ]


def decision_lines(dossier: Dossier, trace: Trace, look: Look) -> Lines:
    """Return the Q-values and the mask of the last decision, and the parts of its reward."""
    decisions = trace.decisions(dossier.agent_id)
    if not decisions:
        return [[("it did not live in this round", look["dim"])]]
    one = decisions[-1]
    known = [value for value, legal in zip(one.q, one.legal, strict=True) if legal and value == value]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    lines: Lines = [
        [
            (f"tick {one.tick}: ", look["dim"]),
            (ACTIONS[one.action].name, look.bold("text")),
            (f", {one.reason}", look["dim"]),
        ]
    ]
    for index, action in enumerate(ACTIONS):
        if not one.legal[index]:
            lines.append([(f"  {action.name:<16}", look["faint"]), ("forbidden", look["faint"])])
            continue
        share = (one.q[index] - low) / (high - low) if high > low else 1.0
        mark = look.symbols.cursor if index == one.action else " "
        lines.append([
            (f"{mark} {action.name:<16}", look["text"]), (f"{one.q[index]:>8.3f} ", look["text"]),
            (paint.meter(0.05 + 0.95 * share, 12, look.symbols), look["accent" if index == one.greedy else "volume"]),
        ])  # fmt: skip
    total = sum(value for _, value in one.parts)
    lines.append([("reward ", look["dim"]), (f"{total:+.3f}", look[paint.trend(total)])]
                 + [(f"  {name} {value:+.3f}", look["dim"]) for name, value in one.parts if value])  # fmt: skip
    growth = np.array([d.equity for d in decisions])
    lines.append([("round  ", look["dim"]), (f"{growth[-1] - growth[0]:+,.2f} in {len(decisions)} ticks, "
                  f"fees {sum(d.fee for d in decisions):,.2f}", look["text"])])  # fmt: skip
    lines.append([(trace.note, look["birth" if trace.identical else "death"])])
    return lines
