"""Conducts a run: starts the nodes, waits for their connections, drives the clients, ends it.

What is the same in every world is here. A run goes through five steps, each with a
deadline on the clock of its world:

1. *bind*: the nodes that bind begin; the seam tells what they bound;
2. *connect*: the others begin; handshakes are awaited, on both ends, not slept for;
3. *load*: the clients are driven, until each is done or stuck, and then leave;
4. *stop*: the nodes are told to end, so that every call of theirs returns;
5. *clean up*, which each world does for itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any

from .barrier import Barrier, Change, Ear
from .drive import FRESH_TIMEOUTS, Progressing
from .endpoints import Endpoints
from .errors import MisuseError, NodeFailed, ReqrepError
from .faults import POINTS, Chaos, Meddling, Points, Reach, Scene, hwm_limit
from .frames import asker_of
from .history.recorder import Recorder
from .life import Flag
from .node import Node
from .pattern import Role
from .scenario import Scenario
from .seam.seat import Place
from .service import Notes
from .workload import NS_PER_S

Progress = Callable[[list[Progressing]], None]

START_TIMEOUT_S = 30.0
"""How long nodes may take to bind, to connect and to shake hands, all together."""

STOP_TIMEOUT_S = 5.0
"""How long a node may take to return once it was told to end."""

VISIT_TIMEOUT_S = 30.0
"""How long the load waits for a stranger to have said all that it has to say."""

RECONNECT_S = 0.3
"""How long peers have to find each other again before fresh requests are made: three times what
libzmq waits before it connects anew, when nobody says (RECONNECT_IVL)."""

TICK_S = 0.05
"""How often a waiting conductor looks around."""


class Conductor(ABC):
    """One run; a world says how nodes live in it.

    Args:
        scenario: What is run.
        endpoints: Where its links are.
        recorder: Where it is written down.
        progress: Called now and then with the drivers of the clients, while the load runs.
        clock: Nanoseconds since the run began, in this world.
        changed, make_flag: How this world waits; see `Change` and `Flag`.
        start_timeout_s, stop_timeout_s: See the constants of this module.

    Attributes:
        asks_afresh: Whether clients make requests when the load is over and all is healed; to be
            set before it runs.
    """

    def __init__(
        self,
        scenario: Scenario,
        endpoints: Endpoints,
        recorder: Recorder,
        progress: Progress | None,
        *,
        clock: Callable[[], int],
        changed: Change,
        make_flag: Callable[[], Flag],
        start_timeout_s: float = START_TIMEOUT_S,
        stop_timeout_s: float = STOP_TIMEOUT_S,
    ) -> None:
        self.scenario = scenario
        self.pattern = scenario.pattern
        self.recorder = recorder
        self.clock = clock
        self.go = make_flag()
        self.healed = make_flag()
        self.finished = make_flag()
        self.stopping = make_flag()
        self.load_begun_ns = 0
        self.asks_afresh = False
        self._progress = progress
        self._start_timeout_s = start_timeout_s
        self._stop_timeout_s = stop_timeout_s
        self._tick_s = TICK_S
        self._endpoints = endpoints
        self._nodes: dict[str, Node] = {}
        self._changed = changed
        self._barrier = Barrier(endpoints, self._nodes, changed)
        self._error: ReqrepError | None = None
        clients = scenario.nodes.clients
        self._has_one_way_ops = any(
            self.pattern.addressee(client, clients) is None for client in range(clients)
        )
        self._one_way_executed: set[str] = set()
        self._chaos: Chaos | None = None
        self._healed_ns = 0
        self._visitors: list[Node] = []

    def _expect_faults(
        self, world: str, able: Callable[[str], frozenset[str]], reach: Reach
    ) -> None:
        """Take the faults of the scenario; to be called before anything is written down.

        Args:
            world: This one, as a message names it.
            able: The kinds that it can do over a transport.
            reach: What it lets them do.

        Raises:
            MisuseError: It cannot do one.
        """
        transport = self._endpoints.transport
        kinds = able(transport)
        for fault in self.scenario.faults:
            if fault.kind not in kinds:
                raise MisuseError(
                    f"{fault!r}: the world {world} over {transport} cannot do {fault.kind!r}; it can "
                    f"do {', '.join(sorted(kinds))}. "
                    + (
                        "Over tcp and ipc it can"
                        if fault.kind in able("tcp")
                        else "The world simulated can do all kinds over tcp and ipc"
                    )
                )
            if fault.upon_message is not None and transport == "inproc":
                raise MisuseError(
                    f"{fault!r}: over inproc there is no network between nodes, and no message is "
                    f"seen {fault.upon_message.point}; use tcp or ipc, or a point at a node "
                    f"({', '.join(POINTS)})"
                )
        if self.scenario.faults:
            scene = Scene(self.pattern, self.scenario.nodes, reach)
            points = Points(self.pattern)
            self._chaos = Chaos(
                self.scenario.faults, scene, points, self.recorder.note, self._is_whole_again
            )
            if self._chaos.has_to_watch:
                self.recorder.watch(self._chaos.watch)

    # --- what a world defines -------------------------------------------------

    @abstractmethod
    def run(self) -> None:
        """Run the scenario once."""

    @abstractmethod
    def _make_seat(self, name: str, role: Role) -> Place:
        """The seat of a node, with a context that is lent to it."""

    @abstractmethod
    def _launch(self, node: Node, arguments: list[Any]) -> None:
        """Begin the life of a node; its program is given a context, and these arguments."""

    @abstractmethod
    def _has_ended(self, node: Node) -> bool:
        """Whether a node was launched and is over."""

    @abstractmethod
    def _join(self, node: Node, timeout_s: float) -> None:
        """Wait for the end of a node."""

    @abstractmethod
    def _stack_of(self, node: Node) -> str:
        """Where a node stands, innermost call last."""

    # --- nodes ----------------------------------------------------------------

    def _seat_nodes(self) -> None:
        for role in self.pattern.roles:
            to_bind = [link for link in self.pattern.links if link.binds == role.name]
            for number in range(self.pattern.count(role.name, self.scenario.nodes)):
                name = f"{role.name}-{number}"
                node = self._nodes[name] = self._new_node(name, role, number)
                node.to_bind = {link: self._endpoints.to_bind(link, name) for link in to_bind}
                node.unbound = to_bind.copy()

    def _new_node(self, name: str, role: Role, number: int) -> Node:
        """A node of the fleet, with what is wrong with it from the start."""
        seat = self._make_seat(name, role)
        seat.hwm_limit = hwm_limit(self.scenario.faults, name)
        return Node(name, role, number, seat)

    def _begin(self, node: Node) -> None:
        arguments: list[Any] = []
        for link in self.pattern.links_of(node.role.name):
            if link in node.to_bind:
                arguments.append(node.to_bind[link])
            else:
                node.links_to_connect += 1
                many = self.pattern.may_be_many(link.binds)
                arguments.append(self._endpoints.to_connect(link, many=many))
        self._launch(node, arguments)

    def _restart(self, dead: Node, *, renamed: bool) -> None:
        """Run the program of a node that has died anew; a binder gets the endpoints that it had."""
        node = self._new_node(dead.name, dead.role, dead.number)
        node.known_as = f"{dead.known_as}-again" if renamed else dead.known_as
        node.to_bind = {link: self._endpoints.of(link, dead.name) for link in dead.to_bind}
        self._nodes[node.name] = node
        self._begin(node)

    def visit(self, name: str, link: str, talk: Callable[..., None]) -> None:
        """Let somebody who is not of the fleet connect to a link."""
        role, _, number = name.rpartition("-")
        program = Role(role, talk)
        node = Node(name, program, int(number), self._make_seat(name, program))
        node.is_visitor = True
        self._nodes[name] = node
        self._visitors.append(node)
        place = self.pattern.link(link)
        many = self.pattern.may_be_many(place.binds)
        endpoints = self._endpoints.to_connect(place, many=many)
        self._launch(node, [endpoints, name])

    def _end_faults(self) -> None:
        """Whatever happens, no fault outlives the run."""
        if self._chaos is not None:
            self._chaos.end()

    # --- what nodes ask and tell; see `life.Run` --------------------------------

    def note_of(self, node: Node) -> Notes:
        if not self._has_one_way_ops:
            return node.seat.note

        def note(kind: str, op: str = "") -> None:
            node.seat.note(kind, op)
            if kind == "executed":
                self._executed(op)

        return note

    def _executed(self, op: str) -> None:
        """The service of a node is done with an op."""
        if op and self.pattern.addressee(asker_of(op), self.scenario.nodes.clients) is None:
            with self._changed:
                self._one_way_executed.add(op)
                self._changed.notify_all()

    def meddle_of(self, node: Node) -> Callable[[], Meddling] | None:
        return partial(self._chaos.meddle, node.name) if self._chaos is not None else None

    def made(self, node: Node) -> None:
        self._barrier.made(node)

    def advanced(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def blame(self, error: ReqrepError) -> None:
        self._error = self._error or error

    # --- the steps -------------------------------------------------------------

    def _now_s(self) -> float:
        """Seconds since the run began, on the clock of the world."""
        return self.clock() / NS_PER_S

    def _start(self) -> None:
        deadline = self._now_s() + self._start_timeout_s
        binders = {link.binds for link in self.pattern.links}
        first = [node for node in self._nodes.values() if node.role.name in binders]
        rest = [node for node in self._nodes.values() if node.role.name not in binders]
        # A role that binds one link and connects to another waits for the binders of that one.
        waiting = first
        while waiting:
            able = [node for node in waiting if self._can_begin(node)] or waiting
            for node in able:
                self._begin(node)
            self._await(deadline, partial(_have_bound, able), able)
            waiting = [node for node in waiting if node not in able]
        for node in rest:
            self._begin(node)
        self._await(deadline, lambda: self._barrier.is_open, [*first, *rest])

    def _can_begin(self, node: Node) -> bool:
        role = node.role.name
        return all(
            self._endpoints.is_found(link, binder.name)
            for link in self.pattern.links
            if role in link.connects
            for binder in self._nodes.values()
            if binder.role.name == link.binds and binder is not node
        )

    def _load(self) -> None:
        self.load_begun_ns = self.clock()
        clients = [node for node in self._nodes.values() if node.is_client]
        if self._chaos is not None:
            self._chaos.begin()
        self.go.set()
        with self._changed:
            self._await_clients(clients)
            if self._chaos is not None:
                if self._chaos.end():
                    self._await_clients(clients)  # What is left of the load goes on.
                if self._chaos.has_kept_back:
                    self._await_stragglers(clients)
        if self.asks_afresh:
            self._ask_afresh(clients)
        for node in self._visitors:
            self._join(node, VISIT_TIMEOUT_S)
        # The clients leave while the others are still there to be taken leave of.
        self.finished.set()
        deadline = self._now_s() + self._stop_timeout_s
        for node in clients:
            if node.driver is None or node.driver.is_done:
                self._join(node, max(0.0, deadline - self._now_s()))
        self._raise_blamed()

    def _raise_blamed(self) -> None:
        """Raise what came up in a node or in the harness, if something did."""
        if self._error is not None:
            raise self._error

    def _is_whole_again(self) -> None:
        """What a fault has kept back goes on: what is open since before it is not stuck yet."""
        self._healed_ns = self.clock()

    def _await_clients(self, clients: list[Node]) -> None:
        """Wait until each client is done, stuck or dead."""
        while any(map(self._is_at_work, clients)):
            if self._progress is not None:
                self._progress([node.driver for node in clients if node.driver is not None])
            self._let_happen()
        self._await_one_way_ops()

    def _let_happen(self) -> None:
        """Wait for a change, for a fault that is due, or a tick; with the condition held."""
        self._raise_blamed()
        due_s = self._chaos.tick() if self._chaos is not None else None
        self._changed.wait(self._tick_s if due_s is None else min(due_s, self._tick_s))

    def _await_stragglers(self, clients: list[Node]) -> None:
        """Give replies that a fault has kept back time to arrive before their clients leave."""
        due = self._answers_due(lambda addressee: addressee is not None)
        if sum(node.driver.answered for node in clients if node.driver is not None) < due:
            self._pause(self.scenario.demand.timeout_s)

    def _pause(self, seconds: float) -> None:
        """Let a time pass, with the condition held."""
        deadline = self._now_s() + seconds
        while (left_s := deadline - self._now_s()) > 0:
            self._changed.wait(left_s)

    def _ask_afresh(self, clients: list[Node]) -> None:
        """All is whole again: each client that can still ask does so until it is answered. Then so
        does a newcomer, on connections of its own: before, it might wake who would sleep on."""
        with self._changed:
            if any(fault.breaks for fault in self.scenario.faults):
                self._pause(RECONNECT_S)
            self._is_whole_again()
            self.healed.set()
            self._await_answers(
                [node for node in clients if node.driver is None or node.driver.is_done]
            )
        number = self.scenario.nodes.clients
        if self.pattern.welcomes(number):
            newcomer = self._welcome(number)
            clients.append(newcomer)
            with self._changed:
                self._is_whole_again()
                self._await_answers([newcomer])  # However far it is: in threads it has only begun.

    def _await_answers(self, asking: list[Node]) -> None:
        """Wait until each of some clients was answered, is stuck, or has asked long enough."""
        while any(map(self._is_asking, asking)):
            self._raise_blamed()
            self._changed.wait(self._tick_s)

    def _welcome(self, number: int) -> Node:
        """A client more than the fleet has, which has not met anybody before."""
        role = self.pattern.role("client")
        name = f"{role.name}-{number}"
        newcomer = self._nodes[name] = self._new_node(name, role, number)
        self._begin(newcomer)
        return newcomer

    def _is_asking(self, node: Node) -> bool:
        """Whether a client has yet to be answered, and is not stuck in a request."""
        driver = node.driver
        if self._has_ended(node) or (driver is not None and driver.is_through):
            return False
        timeout_s = self.scenario.demand.timeout_s
        if driver is not None and driver.open_since_ns is not None:
            since_ns = driver.open_since_ns
            patience_s = timeout_s
        else:
            since_ns = self._healed_ns
            patience_s = (FRESH_TIMEOUTS + 1) * timeout_s
        return self.clock() - since_ns <= (patience_s + self._tick_s) * NS_PER_S

    def _is_at_work(self, node: Node) -> bool:
        """Whether a client has requests to make, and is not stuck in one."""
        driver = node.driver
        if driver is None or driver.is_done or self._has_ended(node):
            return False
        if self._chaos is not None and self._chaos.is_stalled_for_good(node.name):
            return False
        since_ns = driver.open_since_ns
        timeout_ns = self.scenario.demand.timeout_s * NS_PER_S
        if since_ns is None:
            return True
        return self.clock() - max(since_ns, self._healed_ns) <= timeout_ns

    def _await_one_way_ops(self) -> None:
        """Requests that nobody is answered for are on their way when their client is done."""
        due = self._answers_due(lambda addressee: addressee is None)
        deadline = self._now_s() + self.scenario.demand.timeout_s
        while len(self._one_way_executed) < due and self._now_s() < deadline:
            self._let_happen()

    def _answers_due(self, counts: Callable[[int | None], bool]) -> int:
        """How many requests are made whose addressee counts."""
        demand, clients = self.scenario.demand, self.scenario.nodes.clients
        return sum(
            demand.share_of(client, clients)
            for client in range(clients)
            if counts(self.pattern.addressee(client, clients))
        )

    # --- what the seam tells ----------------------------------------------------

    def is_known(self, endpoint: str) -> bool:
        return self._endpoints.is_given(endpoint)

    def bound(self, seat: Place, tap: Ear, requested: str, endpoint: str) -> None:
        self._barrier.bound(seat, tap, requested, endpoint)

    def connecting(self, seat: Place, tap: Ear, endpoint: str) -> None:
        self._barrier.connecting(seat, tap, endpoint)

    def unwatched(self, tap: Ear) -> None:
        self._barrier.unwatched(tap)

    def heard(self, tap: Ear, kind: str, endpoint: str) -> None:
        tap.note(kind, endpoint)
        if kind == "connected":
            self._barrier.connected(tap, endpoint)

    # --- the barrier --------------------------------------------------------

    def _await(self, deadline: float, condition: Callable[[], bool], nodes: list[Node]) -> None:
        """Wait for a condition of the start-up.

        Raises:
            NodeFailed: A node crashed or ended, or the deadline passed.
        """
        with self._changed:
            while not condition():
                self._raise_blamed()
                for node in self._nodes.values():
                    if node.crash:
                        raise NodeFailed(
                            node.name, f"failed while it started{_hint(node.crash)}:", node.crash
                        )
                    if self._has_ended(node) and not node.is_ready:
                        raise NodeFailed(node.name, "returned before it had bound and connected")
                remaining = deadline - self._now_s()
                if remaining <= 0:
                    raise self._late(nodes)
                self._changed.wait(min(remaining, TICK_S))

    def _late(self, nodes: list[Node]) -> NodeFailed:
        for node in nodes:
            for link in node.unbound:
                return NodeFailed(
                    node.name,
                    f"did not bind {node.to_bind[link]!r}, its end of the link {link.name!r}, "
                    f"within {self._start_timeout_s:g} s; it stands at:",
                    self._stack_of(node),
                )
        for node in nodes:
            if not node.is_ready:
                return NodeFailed(
                    node.name,
                    f"was not ready within {self._start_timeout_s:g} s; it stands at:",
                    self._stack_of(node),
                )
        return NodeFailed(
            "the fleet",
            f"has {self._barrier.handshakes} handshakes missing after {self._start_timeout_s:g} s; "
            "a program connects to an endpoint that it was not given, or to a socket of a type "
            "that libzmq does not let it talk to",
        )


def _have_bound(nodes: list[Node]) -> bool:
    return not any(node.unbound for node in nodes)


def _hint(crash: str) -> str:
    """What to try, for the failures that have one cause."""
    if "Address already in use" in crash:
        return (
            "; the endpoint is in use: bind the address that the program is given, which is "
            "free, or end what holds it"
        )
    if "Too many open files" in crash:
        return "; raise the limit of open files (ulimit -n) or run fewer nodes"
    return ""
