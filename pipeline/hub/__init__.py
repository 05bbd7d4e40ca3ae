"""The hub of a run, which keeps leases, order and accounting, and supervises the workers."""
