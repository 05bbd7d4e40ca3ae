"""The schemas of all settings, and their loading from files and options."""
