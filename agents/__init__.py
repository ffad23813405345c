"""Minds: genomes, stacked deep Q-networks, replay, policies. Imports only arena's spec, rng and errors."""
