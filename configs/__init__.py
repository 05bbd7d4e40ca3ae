"""Presets: ready-made configurations, shipped as package data."""
