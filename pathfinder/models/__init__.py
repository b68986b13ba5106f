"""Networks by name: ordinary modules that know nothing of paths."""
