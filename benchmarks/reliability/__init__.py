"""What `record.py` tries: a module for each kind of trial."""

import sys
from pathlib import Path

# The trials share with the tests what runs commands and makes damaged inputs.
sys.path.append(str(Path(__file__).parents[2] / "tests"))
