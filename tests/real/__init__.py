"""Real sockets, processes and signals."""
