"""The six screens, and what opens over them."""
