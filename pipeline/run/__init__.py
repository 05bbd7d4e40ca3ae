"""One run: prepare, launch, report."""
