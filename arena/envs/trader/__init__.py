"""The parts of the solo trading environment: features, signals, desk, reward and risk manager."""
