"""Generations and history: the world's round, inheritance, the ledger and the questions it answers."""

__version__ = "0.3.0"
