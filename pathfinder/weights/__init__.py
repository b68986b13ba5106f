"""A module's tensors, and one vector of them."""
