"""What tests, and benchmarks, have in common."""
