"""Everything a person touches in a terminal."""
