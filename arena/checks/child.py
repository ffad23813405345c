"""A process of its own that plays one episode and prints its hash: `python -m arena.checks.child REQUEST`."""

import contextlib
import json
import sys

from arena.checks.ours import episode_hash
from arena.checks.target import Target


def main() -> None:
    """Play the episode that the JSON on the command line asks for."""
    request = json.loads(sys.argv[1])
    with contextlib.redirect_stdout(sys.stderr):
        answer = episode_hash(Target(request["name"], request["keywords"]), request["seed"], request["steps"])
    print(answer)


if __name__ == "__main__":
    main()
