"""An experiment: its config, and its run."""
