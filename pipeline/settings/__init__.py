"""Settings: their schema, and how they are read from files and options."""
