"""Synthetic streets: rendered scenes with exact class masks."""
