"""Bodies: accounts, orders, scars, life and death, as plain arrays over seats."""
