"""Tasks: the closed loop, in trials."""
