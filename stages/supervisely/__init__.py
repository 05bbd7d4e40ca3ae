"""Supervisely's format: the files of its projects, annotations of images and videos, classes."""
