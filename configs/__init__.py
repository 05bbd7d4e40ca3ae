"""Ready-made configurations, shipped as package data."""
