"""Supervisely's format: annotations, geometries, classes, and files."""
