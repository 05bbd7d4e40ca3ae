"""Communication between hub and workers: messages, sockets, shared memory."""
