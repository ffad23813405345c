"""The tick in C: arena.phases, arena.senses and arena.market.background with the same bytes, given a compiler."""
