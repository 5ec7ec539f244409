"""The declaration of a pattern: what a plug-in exports, and where a user's own broker goes in.

A pattern is a handful of node programs with the words that make them testable:
who binds and who connects, which frames stand at each hop, what is promised, and
what is not survived. Node programs are plain pyzmq functions; the harness calls
them with plain arguments:

* a **broker** or **server** is called with a context and its endpoints;
* a **worker** or **server** that takes an argument named `handle` gets the
  service: `handle(body) -> body`, where a body is a list of frames. It blocks for as
  long as the work takes;
* a **client** is a class, made with a context and its endpoints, that the harness
  drives: `call(body) -> body` where the pattern is lock-step, or `send(body)` and
  `recv() -> body` where it pipelines. `close()` is called in the end if it is there.

A program with an argument named `name` also gets the name of its node, such as
`client-3`.

Endpoints come in the order of the pattern's links. Where the binding role is one
node an endpoint is a string; where it may be several, the connecting side gets a
list of them. A binder is given an address to bind as it is, over tcp a wildcard
port: the kernel chooses, and the connecting side is told what it chose.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal

from .errors import MisuseError
from .fleet import Fleet
from .frames import Layout, layout
from .workload import Workload

Program = Callable[..., Any]

GENTLE = frozenset({"noop", "delay", "hold", "stall", "late", "throttle"})
"""The kinds of fault by which nothing is lost: what a promise covers when nobody says."""


@dataclass(frozen=True)
class Role:
    """One kind of node.

    Args:
        name: `client`, `worker`, `broker`, `server` or a word of the pattern's own.
        program: What a node in this role runs; see the top of this file.
        many: Whether the fleet says how many there are. Clients always are many.
    """

    name: str
    program: Program
    many: bool = False

    @cached_property
    def arguments(self) -> frozenset[str]:
        """The names of the arguments that the program takes."""
        try:
            return frozenset(inspect.signature(self.program).parameters)
        except (TypeError, ValueError):
            return frozenset()

    def taken(self, offers: Mapping[str, Any]) -> dict[str, Any]:
        """What the program takes of what it is offered by name."""
        return {name: offer for name, offer in offers.items() if name in self.arguments}


@dataclass(frozen=True)
class Link:
    """A place where nodes meet: one role binds there, others connect.

    Args:
        name: The field's word for it, such as `frontend`.
        binds: The role that binds.
        connects: The roles that connect.
        sockets: The type of socket that each role has there, in pairs such as
            `("server", "REP")`. A program of a user's may have another that speaks the same on
            the wire (ROUTER or DEALER for REP, DEALER for REQ); then its layouts are adapted.
    """

    name: str
    binds: str
    connects: tuple[str, ...]
    sockets: tuple[tuple[str, str], ...] = ()

    def socket_of(self, role: str) -> str | None:
        """The type of socket that a role has here; None if nobody said."""
        return dict(self.sockets).get(role)


@dataclass(frozen=True)
class Hop:
    """One step of a message: as its sender hands it to a socket, and as its receiver gets it.

    Args:
        carries: `request` and `reply` carry an op; `control` is the pattern's own
            traffic, such as a ready signal.
        link: The link that is crossed.
        sender, receiver: The roles at its ends.
        sent, received: The frames at either end, in the notation of `frames.py`.
    """

    carries: Literal["request", "reply", "control"]
    link: str
    sender: str
    sent: str
    receiver: str
    received: str

    @property
    def sent_layout(self) -> Layout:
        return layout(self.sent)

    @property
    def received_layout(self) -> Layout:
        return layout(self.received)

    @property
    def title(self) -> str:
        """The hop in a few words, without its frames."""
        return f"{self.carries} {self.sender} -> {self.receiver}"

    def __str__(self) -> str:
        return f"{self.title} on {self.link}: {self.sent} -> {self.received}"


@dataclass(frozen=True)
class Promise:
    """A property that a pattern declares, and the faults under which it declares it.

    Args:
        property: The name of the property.
        under: Names of fault kinds. Empty means: as long as nothing goes wrong; when left out, the
            kinds by which nothing is lost (`GENTLE`).
    """

    property: str
    under: frozenset[str] = GENTLE

    def __post_init__(self) -> None:
        object.__setattr__(self, "under", frozenset(self.under))


@dataclass(frozen=True)
class Membership:
    """By what a broker knows its workers, as it sees them on the link where it gives them work.

    Args:
        joins: The last frame of the control message by which a worker says that it is there and free.
        silence_s: For how many seconds after its last message a worker may still be given work:
            the time after which it counts as dead, and what the broker needs to notice. None is
            for ever.

    Source: RFC 6/PPP for READY, HEARTBEAT and expiry; the guide, chapters 3 and 4.
    """

    joins: bytes
    silence_s: float | None = None


def asker(client: int, clients: int) -> int | None:
    """The usual addressee of a reply: the client that asked."""
    return client


@dataclass(frozen=True)
class Pattern:
    """A pattern: node programs, wiring, frames, promises.

    Args:
        name: What a person types: `load-balancing`.
        summary: One line.
        roles: The roles; exactly one is named `client`.
        links: Where they meet, in the order in which programs get their endpoints.
        hops: Which frames stand where.
        promises: What holds.
        does_not_survive: What a user must not expect, a sentence each.
        source: Chapter, RFC or file that the pattern comes from.
        addressee: Which client, by number, gets the reply to the request of client `n`
            of so many; None where nobody gets one, so that an op ends when it is sent.
        membership: By what its broker knows its workers; None: any control message of a worker
            says that it is free.
        fleet, workload: What a run takes when nobody says otherwise; they exercise what the
            pattern promises. A search draws its own, within its limits: bodies that your programs
            need must be given there, too.
        reference: How `reqrep.pattern()` finds it again, if not by its name.
        changed: The programs that `with_roles` has put in, by role.

    Raises:
        MisuseError: A link or a hop names a role or a link that is not there, a
            role is missing, or a layout cannot be read.
    """

    name: str
    summary: str
    roles: tuple[Role, ...]
    links: tuple[Link, ...]
    hops: tuple[Hop, ...]
    promises: tuple[Promise, ...]
    does_not_survive: tuple[str, ...] = ()
    source: str = ""
    addressee: Callable[[int, int], int | None] = asker
    membership: Membership | None = None
    fleet: Fleet = Fleet()
    workload: Workload = Workload()
    reference: str = ""
    changed: Mapping[str, Program] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        names = [role.name for role in self.roles]
        if names.count("client") != 1:
            raise MisuseError(
                f"pattern {self.name!r} has the roles {names}; exactly one must be named 'client'"
            )
        if len(set(names)) < len(names):
            raise MisuseError(f"pattern {self.name!r} names a role twice: {names}")
        for role in self.roles:
            if not callable(role.program):
                raise MisuseError(
                    f"pattern {self.name!r}: the program of role {role.name!r} is "
                    f"{role.program!r}, which cannot be called"
                )
            if inspect.iscoroutinefunction(role.program):
                raise MisuseError(
                    f"pattern {self.name!r}: the program of role {role.name!r} is {role.program!r}, "
                    "an async def; give a function that runs it by asyncio.run()"
                )
        for link in self.links:
            for name in (link.binds, *link.connects):
                self.role(name)
        for hop in self.hops:
            self.link(hop.link)
            for name in (hop.sender, hop.receiver):
                self.role(name)
            _ = hop.sent_layout, hop.received_layout
        idle = [name for name in names if not self.links_of(name)]
        if idle:
            raise MisuseError(
                f"pattern {self.name!r}: the role {idle[0]!r} neither binds nor connects anywhere"
            )

    def role(self, name: str) -> Role:
        """The role of that name.

        Raises:
            MisuseError: There is none.
        """
        for role in self.roles:
            if role.name == name:
                return role
        raise MisuseError(no_such("role", name, [role.name for role in self.roles], self.name))

    def link(self, name: str) -> Link:
        """The link of that name.

        Raises:
            MisuseError: There is none.
        """
        for link in self.links:
            if link.name == name:
                return link
        raise MisuseError(no_such("link", name, [link.name for link in self.links], self.name))

    def links_of(self, role: str) -> tuple[Link, ...]:
        """The links where a role binds or connects, in order."""
        return tuple(link for link in self.links if role == link.binds or role in link.connects)

    def may_be_many(self, role: str) -> bool:
        """Whether a fleet may have several nodes in a role."""
        return role == "client" or self.role(role).many

    def welcomes(self, client: int) -> bool:
        """Whether that client can join a fleet of so many: it binds nothing, and is answered."""
        return self.addressee(client, client) == client and not any(
            link.binds == "client" for link in self.links
        )

    def count(self, role: str, fleet: Fleet) -> int:
        """How many nodes a fleet has in a role."""
        if role == "client":
            return fleet.clients
        return fleet.workers if self.role(role).many else 1

    @property
    def is_sizable(self) -> bool:
        """Whether the fleet says how many nodes carry requests out."""
        return any(role.many for role in self.roles if role.name != "client")

    def fleet_of(self, clients: int | None, workers: int | None) -> Fleet:
        """The pattern's own fleet with other numbers; None keeps one.

        Raises:
            MisuseError: The pattern has one server, whatever the fleet.
        """
        if workers is not None and not self.is_sizable:
            raise MisuseError(
                f"{workers} workers were asked for, but {self.name!r} has one server, whatever the "
                "fleet; leave the number out"
            )
        return self.fleet.replace(
            clients=self.fleet.clients if clients is None else clients,
            workers=self.fleet.workers if workers is None else workers,
        )

    def with_roles(self, **programs: Program) -> Pattern:
        """The same pattern with programs of yours; the rest, and the promises, stay.

        Args:
            programs: A program for each role to replace: `broker=my_broker`.

        Raises:
            MisuseError: The pattern has no such role.
        """
        for name in programs:
            self.role(name)
        roles = tuple(
            dataclasses.replace(role, program=programs.get(role.name, role.program))
            for role in self.roles
        )
        return dataclasses.replace(
            self, roles=roles, changed=MappingProxyType({**self.changed, **programs})
        )

    def __repr__(self) -> str:
        from .references import reference_to

        found = f"pattern({self.reference or self.name!r})"
        if not self.changed:
            return found
        programs = []
        for name, program in self.changed.items():
            try:
                what = f"resolve({reference_to(program, name)!r})"
            except MisuseError:
                what = repr(program)
            programs.append(f"{name}={what}")
        return f"{found}.with_roles({', '.join(programs)})"

    def __hash__(self) -> int:
        return hash((self.name, self.roles))


def no_such(what: str, name: str, known: list[str], where: str = "") -> str:
    """The message for a name that is not there, with the nearest that are."""
    near = get_close_matches(name, known, n=3, cutoff=0.5)
    place = f" in {where!r}" if where else ""
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return f"there is no {what} {name!r}{place}{hint} (there are: {', '.join(known) or 'none'})"
