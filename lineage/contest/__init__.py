"""Contests: frozen policies on markets that nobody saw, and what may be concluded from them."""
