"""Print the live view of a run as text, for the README: python -m benchmarks.picture [SCENARIO] [SEED] [ROUND]."""

import io
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

WIDTH, HEIGHT = 80, 24


def main() -> None:
    """Play a scenario to a round and print the picture of that moment."""
    from lineage import engine, settings
    from tui.clans import ClanNames
    from tui.live import picture

    scenario, seed, rounds = [*sys.argv[1:], *["default", "1", "250"][len(sys.argv) - 1 :]]
    config = settings.load(scenario, environment={}).config
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "run"
        began = time.monotonic()
        with engine.start(directory, config, int(seed)) as started:
            started.run(should_stop=lambda: started.rounds_done >= int(rounds))
            rate = started.rounds_done / (time.monotonic() - began)
            names = ClanNames(directory)
            console = Console(width=WIDTH, height=HEIGHT, file=io.StringIO(), color_system=None)
            with console.capture() as captured:
                console.print(picture(started, names, rate, WIDTH, HEIGHT))
            names.close()
    print("\n".join(text.rstrip() for text in captured.get().splitlines()))


if __name__ == "__main__":
    main()
