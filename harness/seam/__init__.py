"""Under pyzmq: how the harness hears what unmodified programs say.

`seat.py` knows which node a thread or a context belongs to; `mixins.py` stands in
front of pyzmq's compiled classes and hands each call to the `tap.py` of its socket;
`patches.py` puts the mixins there and takes them away. `recording.py` is the tap on a
real socket; `monitor.py` listens to its connections, `proxy.py` to what goes through
`zmq.proxy`. `simulating.py` is the tap on a simulated one; what else a simulated node has
stands in `virtual.py` and the files that it names.

How it is done, and what it was chosen over, stands in `docs/design.md`.
"""
