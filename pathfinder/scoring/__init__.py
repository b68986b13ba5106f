"""Loss and error at any point of a weight space."""
