"""The scenario: everything that defines a run but the world it runs in."""

from __future__ import annotations

from typing import cast

import msgspec

from .errors import MisuseError
from .faults import KINDS, AnyFault, Fault, check
from .fleet import Fleet
from .frames import asker_of, number_of
from .pattern import Pattern, no_such
from .references import reference_to, resolve
from .values import Value, require_count, require_kind
from .workload import ClosedLoop, Workload


class Scenario(Value, frozen=True):
    """A pattern, a fleet, a workload, a seed, and what goes wrong.

    It prints as the code that rebuilds it and goes through JSON and back unchanged,
    as long as its programs stand at the top of a module.

    Args:
        pattern: What is run.
        fleet: How many nodes; None takes the pattern's own.
        workload: What is asked; None takes the pattern's own.
        seed: What every draw comes from, 0 or more.
        faults: What goes wrong, and when.

    Raises:
        MisuseError: The parts do not fit together.
    """

    pattern: Pattern
    fleet: Fleet | None = None
    workload: Workload | None = None
    seed: int = 0
    faults: tuple[Fault, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.pattern, Pattern):
            raise MisuseError(
                f"Scenario.pattern is {self.pattern!r}; give a Pattern, such as "
                "reqrep.pattern('load-balancing')"
            )
        require_count("Scenario.seed", self.seed, least=0)
        require_kind("Scenario.fleet", self.fleet, Fleet, None)
        require_kind("Scenario.workload", self.workload, Workload, None)
        # Filled in once, so that two ways of saying one scenario are one value.
        if self.fleet is None:
            msgspec.structs.force_setattr(self, "fleet", self.pattern.fleet)
        if self.workload is None:
            msgspec.structs.force_setattr(self, "workload", self.pattern.workload)
        self._check_window()
        require_kind("Scenario.faults", self.faults, tuple, list)
        msgspec.structs.force_setattr(self, "faults", tuple(self.faults))
        if self.faults:
            check(self.faults, self.pattern, self.nodes, self.demand)
        for promise in self.pattern.promises:
            for kind in sorted(promise.under.difference(KINDS)):
                raise MisuseError(
                    f"{self.pattern.name!r} promises {promise.property!r} under {kind!r}: "
                    + no_such("kind of fault", kind, list(KINDS))
                )

    def _check_window(self) -> None:
        """A lock-step client has one request at a time: a wider window is a mistake."""
        arrival = self.demand.arrival
        client = self.pattern.role("client").program
        lockstep = hasattr(client, "call")
        if not lockstep and not (hasattr(client, "send") and hasattr(client, "recv")):
            raise MisuseError(
                f"the client of {self.pattern.name!r} is {client!r}; a client is a class with "
                "call(body) -> body, or with send(body) and recv() -> body"
            )
        if lockstep and isinstance(arrival, ClosedLoop) and arrival.window > 1:
            raise MisuseError(
                f"the window is {arrival.window}, but a client of {self.pattern.name!r} is "
                "lock-step and keeps one request open; use a window of 1, or a pattern whose "
                "clients pipeline, such as 'dealer-router'"
            )

    @property
    def nodes(self) -> Fleet:
        """The fleet, which is always there once the scenario is made."""
        assert self.fleet is not None
        return self.fleet

    @property
    def demand(self) -> Workload:
        """The workload, which is always there once the scenario is made."""
        assert self.workload is not None
        return self.workload

    @property
    def is_disturbed(self) -> bool:
        """Whether there is anything that the fleet may have to recover from."""
        return any(fault.disturbs for fault in self.faults)

    def is_fresh(self, op: str) -> bool:
        """Whether a request is beyond the load: made to see who recovers from the faults."""
        asker = asker_of(op)
        return number_of(op) >= self.demand.share_of(asker, self.nodes.clients)

    def to_json(self) -> str:
        """The scenario as JSON text.

        Raises:
            MisuseError: A program of yours cannot be found by name in another process.
        """
        name = PatternName.of(self.pattern)
        faults = cast("tuple[AnyFault, ...]", self.faults)
        written = _Written(name, self.nodes, self.demand, self.seed, faults)
        return msgspec.json.encode(written).decode()

    @staticmethod
    def from_json(text: str | bytes) -> Scenario:
        """The scenario that `to_json` wrote.

        Raises:
            MisuseError: The text is not one, with the place where it fails.
        """
        try:
            written = msgspec.json.decode(text, type=_Written)
        except msgspec.DecodeError as error:
            raise MisuseError(f"this is not a scenario: {error}") from error
        return Scenario(
            written.pattern.find(), written.fleet, written.workload, written.seed, written.faults
        )


class PatternName(Value, frozen=True):
    """A pattern in JSON: its name, and the names of the programs that were replaced in it."""

    name: str
    roles: dict[str, str] = msgspec.field(default_factory=dict)

    @staticmethod
    def of(pattern: Pattern) -> PatternName:
        """The name by which a pattern is found in another process.

        Raises:
            MisuseError: A program of yours cannot be found by name there.
        """
        from .catalogue import pattern as find

        reference = pattern.reference or pattern.name
        found = find(reference)
        if found == pattern:
            return PatternName(reference)  # With whatever programs it has by then.
        roles = {
            role: reference_to(program, f"the program of role {role!r}")
            for role, program in pattern.changed.items()
        }
        if found.with_roles(**pattern.changed) != pattern:
            raise MisuseError(
                f"this pattern {reference!r} is not the one that is found by that name, changed by "
                "with_roles(); give it a name of its own at the top of a module"
            )
        return PatternName(reference, roles)

    def find(self) -> Pattern:
        """The pattern of that name, with those programs.

        Raises:
            MisuseError: It is not there, or a program is not.
        """
        from .catalogue import pattern as find

        programs = {
            role: resolve(reference, f"a program for the role {role!r}")
            for role, reference in self.roles.items()
        }
        found = find(self.name)
        return found.with_roles(**programs) if programs else found


class _Written(Value, frozen=True):
    """A scenario in JSON."""

    pattern: PatternName
    fleet: Fleet
    workload: Workload
    seed: int = 0
    faults: tuple[AnyFault, ...] = ()
