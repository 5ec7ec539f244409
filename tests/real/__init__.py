"""The real worlds: real sockets, processes and signals, and what stands between the nodes."""
