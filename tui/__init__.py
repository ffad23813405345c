"""Command line and terminal. May import every other package; nothing imports it."""

import os

# Textual repaints at most that often, and reads it when it is imported. It is also the wait after a paint: at its own
# 60 a key that comes just behind a refresh waits for up to 33 ms. Nothing is painted that did not change.
os.environ.setdefault("TEXTUAL_FPS", "240")
