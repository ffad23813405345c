"""When memory is tidied: looking for cycles through everything holds a key up by 20 to 100 ms, so it waits for a pause.

Only the youngest objects are looked at while somebody types; the rest is looked through in a pause, and then set aside.
"""

import gc
import time
from collections.abc import Callable
from typing import Final

YOUNG: Final = 2_000  # new objects after which the youngest are looked at
PAUSE_SECONDS: Final = 3.0  # without a key
EVERY_SECONDS: Final = 30.0
AT_LATEST_SECONDS: Final = 600.0  # also when somebody types all the time


class Tidier:
    """Takes the collector of this process in hand, from `begin` to `end`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._typed = self._tidied = clock()
        self._before: tuple[int, int, int] | None = None

    def begin(self) -> None:
        """What imports brought stays; nothing but the young is looked at from now on."""
        gc.freeze()
        self._before = gc.get_threshold()
        gc.set_threshold(YOUNG, self._before[1], 1_000_000)
        self._tidied = self._clock()

    def end(self) -> None:
        """Leave everything to Python again."""
        if self._before is not None:
            gc.set_threshold(*self._before)
            gc.unfreeze()
            self._before = None

    def typed(self) -> None:
        """Note that somebody types."""
        self._typed = self._clock()

    def tidy(self) -> bool:
        """Look through everything if it is time for it; True when it was done."""
        now = self._clock()
        quiet = now - self._typed >= PAUSE_SECONDS and now - self._tidied >= EVERY_SECONDS
        if self._before is None or not (quiet or now - self._tidied >= AT_LATEST_SECONDS):
            return False
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        self._tidied = self._clock()
        return True
