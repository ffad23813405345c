"""docs/environments.md and the examples of the population say what is true: their code runs."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "environments.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)


def example(name: str) -> ModuleType:
    """Import a file of examples/."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_every_block_of_the_page_runs(block: str, tmp_path: Path) -> None:
    """In a process of its own, with warnings as errors, and it prints something."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", block], capture_output=True, text=True, check=False, cwd=tmp_path,
        env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_files_that_the_page_names_exist() -> None:
    """Examples, tests and modules."""
    for name in re.findall(r"`((?:examples|tests|arena)/[\w/]+\.py)`", PAGE):
        assert (ROOT / name).exists(), name


def test_a_loop_with_births_hands_policies_down() -> None:
    """Heirs get their parent's policy, and the same seed plays the same history."""
    births = example("pettingzoo_births")
    counts = births.main()
    assert counts["heirs"] > 0
    assert counts["died"] > 0
    assert counts["born"] > 12
    assert births.main(cycles=200) == births.main(cycles=200)


def test_stable_baselines_trains_on_the_population() -> None:
    """The example on a fraction of its length: lives end, others begin."""
    figures = example("sb3_population").main(steps=6_000)
    assert figures["born"] > 32
    assert figures["lives"] > 0
