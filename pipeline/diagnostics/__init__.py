"""Programs that measure icstream and show it: bench, naive, demo, doctor."""
