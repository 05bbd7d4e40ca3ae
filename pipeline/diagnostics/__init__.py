"""Commands that measure and demonstrate icstream: bench, naive, demo, doctor."""
