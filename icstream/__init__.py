"""Streaming video segmentation by ICNet.

The packages beside this file are links to the folders at the top of the repository.
"""

from importlib import metadata

__version__ = metadata.version("icstream")
"""The version of the installed package, as `pyproject.toml` states it."""
