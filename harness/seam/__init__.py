"""Under pyzmq: how the harness hears what unmodified programs say.

`seat.py` knows which node a thread or a context belongs to; `record.py` has the
mixins that stand in front of pyzmq's compiled classes; `patches.py` puts them
there and takes them away; `monitor.py` listens to connections; `proxy.py` to what
goes through `zmq.proxy`.

How it is done, and what it was chosen over, stands in `docs/design.md`.
"""
