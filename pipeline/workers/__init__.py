"""The work of each kind of worker process, one module per kind."""
