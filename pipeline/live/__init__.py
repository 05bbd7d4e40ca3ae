"""Live sources: opening, reconnecting, and reading them in this process."""
