"""The tick in C: arena.phases and arena.senses.indicators with the same bytes, where a compiler is there."""
