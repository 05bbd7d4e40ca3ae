"""Damaged inputs, and what reads them."""
