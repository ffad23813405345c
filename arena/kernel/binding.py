"""The kernel as a library: its C files, the arguments of its functions, and the test that lets it in.

Which of kernel and numpy plays a tick is not seen in any byte, so it is chosen without asking: the kernel where this
machine's compiler makes one that passes `arena.kernel.trial`, numpy otherwise.
"""

import abc
import ctypes
import functools
from pathlib import Path
from typing import Any, Final

import numpy as np

from arena import native
from arena.errors import EnvironmentFault

SOURCES: Final = tuple(
    Path(__file__).with_name(f"{topic}.c") for topic in ("frame", "orders", "money", "senses", "market")
)
"""Compiled as one text."""

_LONG, _DOUBLE, _POINTER = ctypes.c_int64, ctypes.c_double, ctypes.c_void_p

_OF_BODIES = (
    "agent_id status cash shares entry_price trust arrears equity reward_equity peak_equity drawdown drawdown_step "
    "damage pending_scar_points closed_trades won_trades paper_trades paper_wins trade_profit closed_profit "
    "holding_ticks round_fees invalid_actions age_rounds position_scale stop_atr reward_weights"
)
_OF_ACCOUNTS = "house_cash house_shares fees estate patron transfers cash_total shares_total"
_KEPT = "obs mask stop room fee_rate rows logs crowding"
_PASSED = (
    "close sigma atr price buy_fill sell_fill depth moved columns actions past totals orders flags ruined flows parts "
    "reward"
)
BODIES: Final = _OF_BODIES.split()
ACCOUNTS: Final = _OF_ACCOUNTS.split()


class Job(ctypes.Structure):
    """What the seats' phases work on: the same fields in the same order as `job` in frame.c."""

    _fields_ = (
        *((name, _LONG) for name in ("markets", "seats", "buy_large_limit", "add_limit")),
        *((name, _DOUBLE) for name in ("endowment", "equity_floor", "reward_floor", "fee", "max_weight")),
        *((name, _DOUBLE) for name in ("min_notional", "ruin", "unit", "benchmark", "clip", "tolerance")),
        *((name, _POINTER) for name in (*BODIES, *ACCOUNTS, *_KEPT.split(), *_PASSED.split())),
    )


class SensesJob(ctypes.Structure):
    """What the senses work on: the same fields in the same order as `senses_job` in senses.c."""

    _fields_ = (
        ("markets", _LONG),
        *((name, _POINTER) for name in ("bars_seen", "history", "averages", "p_up", "close", "sigma", "columns")),
        *((name, _POINTER) for name in ("weights", "root", "bar", "logs", "args")),
    )


class MarketJob(ctypes.Structure):
    """What price formation works on: the same fields in the same order as `market_job` in market.c."""

    _fields_ = (
        *((name, _LONG) for name in ("markets", "auctions", "jumps")),
        *((name, _DOUBLE) for name in ("collar", "volatility")),
        *((name, _POINTER) for name in ("ladder", "depth", "base_volume", "now", "noise", "drift", "volume", "jump")),
        *((name, _POINTER) for name in ("given", "path", "exps", "m", "b", "s", "x", "e", "log_price", "prices")),
        *((name, _POINTER) for name in ("after", "bars")),
    )


_FUNCTIONS: Final = {
    "arena_allow": None, "arena_stops": None, "arena_decide": _LONG, "arena_totals": None, "arena_fill": _LONG,
    "arena_settle": _LONG, "arena_mark": None, "arena_check": _LONG, "arena_growth": _LONG, "arena_reward": None,
    "arena_look": None, "arena_see": None, "arena_take_in": None, "arena_refresh": None, "arena_reserve": None,
    "arena_bid": None, "arena_step": None, "arena_meet": _LONG, "arena_roll": None,
}  # fmt: skip
"""{name: what it returns}; each takes a job, and arena_settle a number."""
_JOBS: Final = {"arena_job_size": Job, "arena_senses_job_size": SensesJob, "arena_market_job_size": MarketJob}


def address(array: np.ndarray) -> int:
    """Return where a writable array without gaps begins: a fifth of the time of `array.ctypes.data`."""
    return ctypes.addressof(ctypes.c_char.from_buffer(array))  # type: ignore[arg-type]  # an array is a buffer


def kernel_source() -> str:
    """Return the text of the kernel. Raises EnvironmentFault when a part of it is not there."""
    return native.text_of(SOURCES)


def open_library(path: Path) -> ctypes.CDLL:
    """Load a compiled kernel and say what its functions take. Raises EnvironmentFault when it is none of ours."""
    library = native.load(path)
    try:
        for name, returned in _FUNCTIONS.items():
            function = getattr(library, name)
            function.restype = returned
            function.argtypes = (_POINTER, _LONG) if name == "arena_settle" else (_POINTER,)
        for name, job in _JOBS.items():
            getattr(library, name).restype = _LONG
            if getattr(library, name)() != ctypes.sizeof(job):
                raise EnvironmentFault(f"{path}: takes other arguments than this build gives; remove it")
    except AttributeError as error:
        raise EnvironmentFault(f"{path}: is no kernel of ours ({error}); remove it, it will be made again") from None
    return library


@functools.lru_cache(maxsize=1)
def find() -> ctypes.CDLL | str:
    """Return the kernel, or in one line why numpy plays the ticks; asked once a process."""
    from arena.kernel.trial import differing

    try:
        library = open_library(native.compiled(kernel_source()))
    except EnvironmentFault as reason:
        return str(reason)
    wrong = differing(library)
    return f"the compiled kernel computes wrongly ({wrong}); set $CC to another compiler" if wrong else library


def needed() -> ctypes.CDLL:
    """Return the kernel for what was copied from a process that had one. Raises EnvironmentFault without one here."""
    found = find()
    if isinstance(found, ctypes.CDLL):
        return found
    raise EnvironmentFault(f"this arena was copied from a process with a compiled kernel, and here is none: {found}")


class Driver(abc.ABC):
    """What drives the kernel: it is copied and pickled without addresses, and finds them again where it arrives."""

    @abc.abstractmethod
    def _wire(self, kernel: ctypes.CDLL) -> None:
        """Tell the kernel where everything is: sets _kernel, _job and _at, which only this process understands."""

    def __getstate__(self) -> dict[str, object]:
        """Return what is remembered, not where that lies."""
        return {name: value for name, value in vars(self).items() if name not in ("_kernel", "_job", "_at")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._wire(needed())


def library() -> ctypes.CDLL | None:
    """Return the kernel, None where there is none."""
    found = find()
    return found if isinstance(found, ctypes.CDLL) else None
