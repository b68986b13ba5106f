"""Hidden units that can be exchanged without changing what a network computes."""
