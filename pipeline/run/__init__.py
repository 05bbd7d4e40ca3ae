"""One run: preparation, launch, report."""
