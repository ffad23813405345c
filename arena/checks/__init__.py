"""Checks of environments, ours and other people's: what their libraries' own tests ask, and what those miss."""
