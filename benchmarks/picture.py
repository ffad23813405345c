"""Draw the README's picture with the app itself: python -m benchmarks.picture [SCENARIO] [SEED] [ROUND] [FILE].

Plays a scenario to a round in a temporary directory and takes the first screen as SVG. The fonts that the picture
would load from elsewhere are taken out: it shows the reader's own monospaced font.
"""

import asyncio
import re
import sys
import tempfile
from pathlib import Path

SIZE = (132, 40)
TARGET = Path(__file__).parent.parent / "docs" / "arena.svg"


def main() -> None:
    """Play, draw, write."""
    from lineage import engine, settings
    from tui.theme import SYMBOLS, THEMES, Look
    from tui.watching import one_frame

    scenario, seed, rounds, target = [*sys.argv[1:], *["default", "7", "700", str(TARGET)][len(sys.argv) - 1 :]]
    config = settings.load(scenario, environment={}).config
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / f"{scenario}-{seed}"
        with engine.start(directory, config, int(seed)) as started:
            started.run(should_stop=lambda: started.rounds_done >= int(rounds))
        look = Look(THEMES[0], SYMBOLS["braille"])
        svg = asyncio.run(one_frame(directory, look, SIZE, "arena", None, as_svg=True))
    Path(target).write_text(tidy(svg), encoding="utf-8")
    print(f"wrote {target}")


def tidy(svg: str) -> str:
    """Return an SVG that loads nothing from elsewhere and is the same whenever it is drawn."""
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    svg = svg.replace("Fira Code", "ui-monospace, SFMono-Regular, Menlo, DejaVu Sans Mono, Consolas")
    name = re.search(r"terminal-(\d+)", svg)
    return svg.replace(name[0], "terminal") if name else svg


if __name__ == "__main__":
    main()
