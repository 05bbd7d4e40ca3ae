"""The plan of a run, derived from settings and arguments before anything starts."""
