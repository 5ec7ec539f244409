"""Histories: what happened in a run, in order, as plain values.

The ops as their clients saw them, each message at each hop, the life of the
nodes, and what went wrong. See `event.py` for the kinds of event.
"""

from .event import Event as Event
from .record import History as History, Op as Op, SocketInfo as SocketInfo
