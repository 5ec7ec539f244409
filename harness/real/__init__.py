"""The real worlds: libzmq's own sockets, the machine's own time."""
