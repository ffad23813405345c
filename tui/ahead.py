"""Screens made before they are asked for, while the first is looked at: making one takes 60 to 100 ms.

The library makes the screen of a mode when it is first switched to and has no public way to make one sooner. Where one
of the two private names below is gone, every screen is made when it is first shown, as the library means it.
"""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

from textual import events
from textual.app import App

BUILD_SECONDS: Final = 0.3  # between two screens, for whoever types
NEEDED: Final = ("_init_mode", "_screen_stacks")
"""Private names of textual.app.App, here alone: tests/test_tui_painting.py fails when a new Textual lacks one."""


async def build_screens(app: App[Any], names: Iterable[str]) -> None:
    """Make the screens of some modes, one after another; those that are there stay."""
    if not all(hasattr(app, name) for name in NEEDED):
        return
    for name in names:
        await asyncio.sleep(BUILD_SECONDS)
        if name not in app._screen_stacks:
            await app._init_mode(name)
            app._screen_stacks[name][0].post_message(events.Resize(app.size, app.size))
