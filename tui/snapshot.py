"""A screen without a terminal: wait until everything is read and drawn, then take it as text."""

import asyncio
import time
from typing import TYPE_CHECKING, Any

from textual.pilot import Pilot

if TYPE_CHECKING:
    from tui.app import ArenaApp

PATIENCE_SECONDS = 60.0


async def settled(pilot: "Pilot[Any]", seconds: float = PATIENCE_SECONDS) -> None:
    """Return when the newest moment is on the screen, a failure is, or the time is over."""
    app: ArenaApp = pilot.app  # type: ignore[assignment]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        app.pull()
        await asyncio.sleep(0.02)
        frame = app.frame
        if app.view.banner or (frame is not None and frame.loaded == frame.newest and frame.newest == app.newest_read):
            break
    while any(worker.is_running for worker in app.workers) and time.monotonic() < end:
        await asyncio.sleep(0.02)
    await pilot.pause(0.05)
    app.show()
    await pilot.pause(0.05)


def screen_text(app: "ArenaApp") -> str:
    """Return what is on the screen as lines of text, trailing blanks taken off."""
    width, height = app.size
    lines = app.screen._compositor.render_strips(app.screen.size) if width and height else []
    return "\n".join(strip.text.rstrip() for strip in lines)
