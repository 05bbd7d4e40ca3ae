"""Masks for subscribers over ZeroMQ."""
