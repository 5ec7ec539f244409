"""The socket types, by libzmq's number."""

from __future__ import annotations

from .. import constants as c
from .base import Socket
from .dealer import Dealer
from .pair import Pair
from .pipeline import Pull, Push
from .publish import Pub, Sub, XPub, XSub
from .rep import Rep
from .req import Req
from .router import Router

SOCKETS: dict[int, type[Socket]] = {
    c.PAIR: Pair,
    c.PUB: Pub,
    c.SUB: Sub,
    c.REQ: Req,
    c.REP: Rep,
    c.DEALER: Dealer,
    c.ROUTER: Router,
    c.PULL: Pull,
    c.PUSH: Push,
    c.XPUB: XPub,
    c.XSUB: XSub,
}
