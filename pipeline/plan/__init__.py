"""The plan of a run: what settings and arguments amount to, settled before anything starts."""
