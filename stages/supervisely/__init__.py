"""Supervisely's format: project files, annotations of images and videos, and classes."""
