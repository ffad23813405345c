"""What a check says of an environment."""

from typing import Literal, NamedTuple

Verdict = Literal["passed", "failed", "skipped"]


class Outcome(NamedTuple):
    """One check's verdict; `cure` is empty where there is nothing to cure."""

    name: str
    verdict: Verdict
    reason: str
    cure: str = ""


class CheckFailed(Exception):
    """An environment breaks a rule; `cure` says what to do about it."""

    def __init__(self, reason: str, cure: str) -> None:
        """Keep reason and cure."""
        super().__init__(reason)
        self.reason, self.cure = reason, cure


class NotApplicable(Exception):
    """A check needs something that the environment does not offer; the text names it and how to offer it."""


class OtherInterface(Exception):
    """A check asks for another interface than the environment has: it is left out of the report."""
