"""Damaged inputs, and their readers."""
