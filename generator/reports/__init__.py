"""TODO: wing."""
