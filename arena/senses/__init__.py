"""What an agent perceives: indicators of the market, and its own body."""
