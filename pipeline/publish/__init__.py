"""Publication of masks to subscribers over ZeroMQ."""
