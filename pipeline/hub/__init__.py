"""The hub of a run: leases, order, accounting, and the workers that it supervises."""
