"""Read-only questions to a run's database."""
