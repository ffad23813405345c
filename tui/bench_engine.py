"""An engine of `bench tui`: the same rounds every time, as many at once as it is told, each one's duration noted.

    python -m tui.bench_engine RUN

Plays some rounds to get warm, then as many as each line on stdin says (0: on and on, until it is killed), and says how
long each took. The same seed makes the same rounds, so that engines can be compared round by round, a few rounds each
in turn: whole windows of time differ by a tenth from one to the next, whoever watches.
"""

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from lineage.engine import Engine

CROWD: Final = ("arena.markets=2", "arena.seats=128", "rounds=1000000", "life.founders_fraction=1.0")
WARM_ROUNDS: Final = 8
SEED: Final = 1


def main(arguments: list[str]) -> None:
    """Play."""
    from agents.fused import resolve
    from lineage import engine
    from tui.running import RunRequest, resolve_request

    loaded, _ = resolve_request(RunRequest(scenario="crowd", assignments=CROWD))
    durations: list[float] = []
    left, began = WARM_ROUNDS, time.perf_counter()

    def note(playing: "Engine") -> None:
        nonlocal left, began
        durations.append(time.perf_counter() - began)
        left -= 1
        if left == 0:
            print(json.dumps(durations), flush=True)
            durations.clear()
            told = sys.stdin.readline()
            if not told:
                sys.exit("whoever measures has gone")
            left = int(told)  # 0 is never met again
        began = time.perf_counter()

    with engine.start(Path(arguments[0]), loaded.config, SEED, learner=resolve("auto", "cpu")[0]) as playing:
        playing.run(note)


if __name__ == "__main__":
    main(sys.argv[1:])
