"""The world: price formation, bodies, senses. Knows nothing of learning or ancestry."""
