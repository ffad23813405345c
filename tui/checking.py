"""`check`: run the libraries' tests and our own on an environment, and say what to do about what fails."""

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

from arena.checks.outcome import Outcome
from arena.checks.runner import check
from arena.checks.target import Target, built_in
from arena.errors import ConfigError
from tui.diagnostics import ExitCode, emit, say

_NAME, _VERDICT = 32, 9


def check_environments(name: str | None, keywords: str, seed: int, steps: int, *, as_json: bool) -> int:
    """Check one environment, or all of ours; a user's that fails is exit 3, one of ours is our bug."""
    targets = built_in() if name is None else [_given(name, keywords)]
    report: list[dict[str, Any]] = []
    failed = 0
    for target in targets:
        say(f"checking {target.title}")
        with contextlib.redirect_stdout(sys.stderr):  # what an environment prints is no data of ours
            outcomes = list(check(target, seed, steps))
        failed += sum(outcome.verdict == "failed" for outcome in outcomes)
        report.append({"environment": target.title, "checks": [outcome._asdict() for outcome in outcomes]})
        if not as_json:
            emit(_table(target.title, outcomes))
    if as_json:
        emit(json.dumps({"seed": seed, "steps": steps, "failed": failed, "environments": report}, indent=2))
    if not failed:
        return ExitCode.OK
    return ExitCode.DATA if name else ExitCode.BUG


def _given(name: str, keywords: str) -> Target:
    """Return a user's environment; modules are found from the working directory, as with `python -m`."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    return Target(name, _plain(keywords))


def _plain(text: str) -> dict[str, Any]:
    """Return keyword arguments from a JSON object."""
    try:
        keywords = json.loads(text)
    except json.JSONDecodeError as problem:
        raise ConfigError(f"--kwargs: {problem}; give a JSON object, e.g. '{{\"max_cycles\": 100}}'") from None
    if not isinstance(keywords, dict):
        raise ConfigError(f"--kwargs: {text[:60]} is no JSON object; e.g. '{{\"max_cycles\": 100}}'")
    return keywords


def _table(title: str, outcomes: list[Outcome]) -> str:
    lines = [title]
    for outcome in outcomes:
        lines.append(f"  {outcome.name:<{_NAME}}{outcome.verdict:<{_VERDICT}}{outcome.reason}")
        if outcome.cure:
            lines.append(f"  {'':<{_NAME + _VERDICT}}cure: {outcome.cure}")
    return "\n".join(lines)
