"""What `record.py` tries: a module for each kind of trial."""
