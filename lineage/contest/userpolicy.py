"""A user's own policy class, played in a process of its own with limits on time and memory.

    class Momentum:
        def __init__(self, seats: int, seed: int, **options): ...
        def act(self, obs, mask):  # obs [N,32] f32, mask [N,7] bool -> N integers, indices into arena.spec.ACTIONS
            return numpy.where(obs[:, 4] > 0.5, 3, 5)

Every match gets a fresh process, so nothing is carried from one match to the next. Whoever raises, hangs, returns
rubbish, eats memory or dies has lost from then on: its seats hold, and `failure` says why. What goes through the pipe
is raw arrays and JSON. This keeps accidents away from a tournament; it is no prison for code that means harm.

This module is also the program of that process and imports nothing heavy; run as `-m lineage.contest.userpolicy`.
"""

import contextlib
import importlib
import inspect
import json
import os
import resource
import select
import struct
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, NamedTuple, Self

import numpy as np

from arena.errors import ConfigError
from arena.spec import HOLD, N_ACTIONS, OBS_DIM

_HEAD: Final = struct.Struct("<cI")
_ACTIONS, _FAILED = b"a", b"f"
_MOST_BYTES: Final = 1 << 20
_REASON: Final = 300
_START_SECONDS: Final = 60.0
"""For python, numpy and the user's imports, on a busy machine."""


class Limits(NamedTuple):
    """What a user's policy may use."""

    seconds: float = 10.0  # wall time of one decision
    memory_mb: int = 1024  # on top of what python and numpy take


class Target(NamedTuple):
    """Which class, where its module lies, and what it is given."""

    name: str  # "module:Class"
    folder: str  # goes first on the import path
    options: str = "{}"  # JSON object, keyword arguments of the constructor


class _LostError(Exception):
    """The policy can play no further; the text says why."""


class Session:
    """One user policy in one match."""

    def __init__(self, target: Target, seats: int, seed: int, limits: Limits) -> None:
        """Start its process; a policy that cannot be made has lost from the beginning."""
        self.failure = ""
        self._limits = limits
        command = [sys.executable, "-m", "lineage.contest.userpolicy", *target, str(seats), str(seed)]
        root = str(Path(__file__).resolve().parent.parent.parent)
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(  # noqa: S603  # our own interpreter, no shell
            [*command, str(limits.memory_mb)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"},
            start_new_session=True,
        )  # fmt: skip
        self._guarded(self._reply, 0, _START_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        with contextlib.suppress(OSError):
            self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._process.wait()

    def decide(self, obs: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Return actions [N] i8 for obs [N,D] f32, mask [N,A] bool; HOLD once it has failed. Never raises for it."""
        hold = np.full(len(obs), HOLD, dtype=np.int8)
        if self.failure:
            return hold
        found = self._guarded(self._ask, obs, mask)
        return hold if found is None else found

    def _guarded(self, call: Any, *arguments: Any) -> np.ndarray | None:
        try:
            found: np.ndarray = call(*arguments)
        except _LostError as problem:
            self.failure = " ".join(str(problem).split())[:_REASON]
        except OSError:
            self.failure = self._ended()
        else:
            return found
        self.close()
        return None

    def _ask(self, obs: np.ndarray, mask: np.ndarray) -> np.ndarray:
        pipe = self._process.stdin
        if pipe is None:
            raise _LostError("its process has no pipe")
        pipe.write(_HEAD.pack(b"o", len(obs)) + obs.astype("<f4").tobytes() + mask.astype(np.uint8).tobytes())
        pipe.flush()
        return self._reply(len(obs), self._limits.seconds)

    def _reply(self, count: int, seconds: float) -> np.ndarray:
        """Return `count` actions. Raises _LostError when something else comes, or nothing in time."""
        until = time.monotonic() + seconds
        kind, size = _HEAD.unpack(self._read(_HEAD.size, until, seconds))
        body = self._read(min(size, _MOST_BYTES), until, seconds)
        if kind == _FAILED:
            raise _LostError(body.decode("utf-8", "replace"))
        actions = np.frombuffer(body, dtype=np.int8)
        if kind != _ACTIONS or len(actions) != count or (count and not 0 <= actions.min() <= actions.max() < N_ACTIONS):
            raise _LostError("its process answered with something that is no row of actions")
        return actions

    def _read(self, size: int, until: float, seconds: float) -> bytes:
        pipe = self._process.stdout
        if pipe is None:
            raise _LostError("its process has no pipe")
        data = b""
        while len(data) < size:
            left = until - time.monotonic()
            if left <= 0.0 or not select.select([pipe], [], [], left)[0]:
                raise _LostError(f"hangs: no decision within {seconds:g} s")
            more = os.read(pipe.fileno(), size - len(data))
            if not more:
                raise _LostError(self._ended())
            data += more
        return data

    def _ended(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5.0)
        return f"its process ended with {self._process.returncode}"


def check_class(target: Target, place: str) -> None:
    """Raise ConfigError unless the class can be imported, has an `act` and takes its options; it is not made."""
    limits = Limits()
    with Session(target, 0, 0, limits) as session:  # 0 seats: import only
        if session.failure:
            raise ConfigError(f"{place}: class {target.name}: {session.failure}; the module is looked for "
                              f"in {target.folder} and where python finds packages")  # fmt: skip


def source_of(target: Target) -> bytes:
    """Return the source of the module if it lies in its folder, else what names it: part of what is played."""
    module = target.name.partition(":")[0]
    base = Path(target.folder, *module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path.read_bytes()
    return module.encode()


def _serve(arguments: list[str]) -> None:
    """Be the process: make the policy, then answer observations until the pipe closes."""
    name, folder, options, seats, seed, memory_mb = arguments
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):  # what it prints goes nowhere
        os.dup2(nowhere, number)
    try:
        _limit_memory(int(memory_mb))
        policy = _made(name, folder, json.loads(options), int(seats), int(seed))
        _send(sink, _ACTIONS, b"")
        while head := source.read(_HEAD.size):
            count = _HEAD.unpack(head)[1]
            obs = np.frombuffer(source.read(4 * count * OBS_DIM), dtype="<f4").reshape(count, OBS_DIM)
            mask = np.frombuffer(source.read(count * N_ACTIONS), dtype=np.uint8).reshape(count, N_ACTIONS)
            _send(sink, _ACTIONS, _checked(policy.act(obs.copy(), mask.astype(bool)), count))
    except MemoryError:
        _send(sink, _FAILED, f"needs more than {memory_mb} MB of memory".encode())
    except BaseException as problem:  # whatever a stranger's code raises, SystemExit too
        _send(sink, _FAILED, _in_words(problem).encode("utf-8", "replace")[:_MOST_BYTES])


def _limit_memory(memory_mb: int) -> None:
    """Allow this much more than python and numpy have taken already."""
    taken = 0
    with contextlib.suppress(OSError):
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limit = taken + memory_mb * (1 << 20)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _made(name: str, folder: str, options: dict[str, Any], seats: int, seed: int) -> Any:
    sys.path.insert(0, folder)
    module, _, attribute = name.partition(":")
    kind = getattr(importlib.import_module(module), attribute, None)
    if kind is None:
        raise _LostError(f"module {module} has no {attribute}")
    if not callable(getattr(kind, "act", None)):
        raise _LostError(f"{attribute} has no method act(obs, mask)")
    if seats:
        return kind(seats=seats, seed=seed, **options)
    with contextlib.suppress(ValueError):  # some of those written in C tell no signature
        try:
            inspect.signature(kind).bind(seats=seats, seed=seed, **options)
        except TypeError as problem:
            raise _LostError(f"cannot be made with seats, seed and its options: {problem}") from None
    return None


def _checked(given: Any, count: int) -> bytes:
    """Return actions as bytes. Raises _LostError saying what is wrong with them."""
    array = np.asarray(given)
    if array.shape != (count,):
        raise _LostError(f"act returned shape {array.shape}, one action for each of {count} seats is needed")
    if array.dtype.kind not in "iu":
        raise _LostError(f"act returned {array.dtype} values, whole numbers are needed")
    if count and not 0 <= array.min() <= array.max() < N_ACTIONS:
        odd = array[(array < 0) | (array >= N_ACTIONS)][0]
        raise _LostError(f"act returned action {odd}, actions run from 0 to {N_ACTIONS - 1}")
    return array.astype(np.int8).tobytes()


def _in_words(problem: BaseException) -> str:
    if isinstance(problem, _LostError):
        return str(problem)
    frame, line = problem.__traceback__, 0
    while frame is not None:
        line, frame = frame.tb_lineno, frame.tb_next
    where = "" if isinstance(problem, SyntaxError) else f" (line {line})"  # it names its own
    return f"raises {type(problem).__name__}: {problem}{where}"


def _send(sink: IO[bytes], kind: bytes, body: bytes) -> None:
    with contextlib.suppress(OSError):
        sink.write(_HEAD.pack(kind, len(body)) + body)
        sink.flush()


if __name__ == "__main__":
    _serve(sys.argv[1:])
