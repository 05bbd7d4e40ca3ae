"""What settings and arguments come to, settled before anything starts."""
