"""What a property and a verdict are.

A property is a named claim about histories with one checker. A checker is fed the
events of one history in order, in bounded memory, and answers in the end:

* `holds`: nothing in the history speaks against the claim;
* `broken`: something does, and these few events show it;
* `unknown`: the history does not say.

Broken beats unknown beats holds. A checker that raises is `unknown` and a bug of
ours, never a pass. It also counts the facts it looked at, so that a verdict on
nothing can be told from a verdict on something.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

from .history import Event
from .lens import End, Lens

if TYPE_CHECKING:
    from .scenario import Scenario

Outcome = Literal["holds", "broken", "unknown"]


@dataclass(frozen=True)
class Verdict:
    """What a property says of one history.

    Args:
        property: Its name.
        outcome: `holds`, `broken` or `unknown`.
        reason: Why, in a sentence; where it holds, whether there was nothing to judge.
        witness: The fewest events that show it, in order.
        facts: How many facts were looked at.
        bug: The traceback of a checker that raised; empty otherwise.
    """

    property: str
    outcome: Outcome
    reason: str = ""
    witness: tuple[Event, ...] = ()
    facts: int = 0
    bug: str = ""

    def __bool__(self) -> bool:
        return self.outcome == "holds"


class Checker:
    """The base of all checkers; a subclass has a method for each kind of event that it wants.

    * `on_<kind>(event)`, such as `on_ok`, is called with each event of that kind.
    * `on_send` and `on_recv`, the kinds of messages, are called as `on_send(event, end, op)`: at
      which end of which hop it is, as far as it is one, and which op it carries, or None.
    * `on_request_sent` and `on_request_received`, and likewise for `reply` and `control`, are
      called so with the messages of such hops, and `on_misfit` with those that fit none where
      they are.

    Args:
        scenario: What was run.
        lens: Reads messages by the layouts of the pattern.

    Attributes:
        facts: How many facts were looked at.
        remark: What is worth knowing where the claim holds.
        ops: What is known of the ops so far; `ops.table()` makes a table of the checker's own.
    """

    handles: ClassVar[tuple[str, ...]] = ()
    """What its methods are called for; found by itself."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.handles = tuple(name[3:] for name in dir(cls) if name.startswith("on_"))

    def __init__(self, scenario: Scenario, lens: Lens) -> None:
        self.scenario = scenario
        self.pattern = scenario.pattern
        self.lens = lens
        self.ops = lens.ops
        self.facts = 0
        self.remark = ""
        self._broken: tuple[str, tuple[Event, ...]] | None = None
        self._unknown: str | None = None

    def wants(self, end: End) -> bool:
        """Whether messages there concern it; asked once for each end."""
        return True

    def broken(self, reason: str, *witness: Event | None) -> None:
        """Say that the claim fails. The first time counts: what follows may be its consequence."""
        if self._broken is None:
            events: list[Event] = []
            for event in witness:
                if event is not None and not any(event is seen for seen in events):
                    events.append(event)
            events.sort(key=lambda event: event.time_ns)
            self._broken = reason, tuple(events)

    def unknown(self, reason: str) -> None:
        """Say that the history does not tell."""
        if self._unknown is None:
            self._unknown = reason

    def finish(self) -> None:
        """Called once after the last event, for claims about what never came."""

    def verdict(self, name: str) -> Verdict:
        if self._broken is not None:
            return Verdict(name, "broken", self._broken[0], self._broken[1], self.facts)
        if self._unknown is not None:
            return Verdict(name, "unknown", self._unknown, (), self.facts)
        reason = self.remark if self.facts else "nothing happened that could have broken it"
        return Verdict(name, "holds", reason, facts=self.facts)


@dataclass(frozen=True)
class Property:
    """A named claim about histories.

    Args:
        name: What a person types: `reply-identity`.
        summary: The claim in one line.
        checker: Makes a checker for one scenario.
        asks_afresh: Whether it judges what clients ask when faults are healed; without any faults
            it is not judged, and where nobody judges it nothing is asked.
        only_in: The one world whose histories tell; a run in another does not judge it, since
            `holds` would say nothing there. Empty if all do.
    """

    name: str
    summary: str
    checker: Callable[[Scenario, Lens], Checker] = field(compare=False)
    only_in: str = ""
    asks_afresh: bool = False

    def is_told(self, scenario: Scenario, world: str) -> bool:
        """Whether a run of a scenario in a world says anything about it."""
        return self.only_in in ("", world) and (scenario.is_disturbed or not self.asks_afresh)


def has_strangers(scenario: Scenario) -> bool:
    """Whether messages may be there that are not those of the fleet."""
    return any(fault.kind == "stranger" for fault in scenario.faults)


Handler = Callable[..., None]


class _Handlers:
    """Who is called: by the kind of an event, and for a message by the end where it is.

    A checker that raised is not called for what comes after.

    Attributes:
        bugs: The tracebacks of those, by their number.
    """

    def __init__(self, checkers: Sequence[Checker]) -> None:
        self.bugs: dict[int, str] = {}
        self._checkers = checkers
        self._found: dict[str | End, tuple[Handler, ...]] = {}
        self.get = self._found.get
        self._named: dict[str, list[tuple[int, Handler]]] = {}
        for number, checker in enumerate(checkers):
            for name in checker.handles:
                handler = getattr(checker, f"on_{name}")
                self._named.setdefault(name, []).append((number, handler))

    def find(self, key: str | End) -> tuple[Handler, ...]:
        """Where `get` finds none yet."""
        if isinstance(key, str):
            found = [handler for _, handler in self._named.get(key, ())]
        else:
            pairs = [*self._named.get(key.kind, ()), *self._named.get(_name(key), ())]
            found = [handler for number, handler in pairs if self._wants(number, key)]
        self._found[key] = tuple(found)
        return self._found[key]

    def _wants(self, number: int, end: End) -> bool:
        try:
            return self._checkers[number].wants(end)
        except Exception:
            self._stop(number)
            return False

    def raised(self, handler: Handler) -> None:
        """To be told where an exception of a handler was caught."""
        for pairs in self._named.values():
            for number, other in pairs:
                if other is handler:
                    return self._stop(number)
        return None  # It was stopped before, and called once more for the same event.

    def _stop(self, number: int) -> None:
        self.bugs.setdefault(number, traceback.format_exc())
        for name, pairs in self._named.items():
            self._named[name] = [pair for pair in pairs if pair[0] != number]
        self._found.clear()


def _name(end: End) -> str:
    """What checkers call the messages there; nothing at a socket that serves no link."""
    if end.hop is None:
        return "misfit" if end.link else ""
    return f"{end.carries}_{'sent' if end.kind == 'send' else 'received'}"


def judge(
    properties: Sequence[Property], scenario: Scenario, events: Iterable[Event]
) -> tuple[Verdict, ...]:
    """Feed one history to the checkers of some properties, in one pass."""
    if not properties:
        return ()
    lens = Lens(scenario.pattern, strangers=has_strangers(scenario))
    checkers = [claim.checker(scenario, lens) for claim in properties]
    handlers = _Handlers(checkers)
    get, find = handlers.get, handlers.find
    for event, end, op in lens.readings(events):
        if end is None:
            called = get(event.kind)
            for handler in called if called is not None else find(event.kind):
                try:
                    handler(event)
                except Exception:
                    handlers.raised(handler)
        else:
            called = get(end)
            for handler in called if called is not None else find(end):
                try:
                    handler(event, end, op)
                except Exception:
                    handlers.raised(handler)
    return tuple(
        _verdict(claim, checker, handlers.bugs.get(number, ""))
        for number, (claim, checker) in enumerate(zip(properties, checkers, strict=True))
    )


def _verdict(claim: Property, checker: Checker, bug: str) -> Verdict:
    if not bug:
        try:
            checker.finish()
        except Exception:
            bug = traceback.format_exc()
    verdict = checker.verdict(claim.name)
    if not bug or verdict.outcome == "broken":
        return verdict
    last = bug.strip().splitlines()[-1]
    return Verdict(claim.name, "unknown", f"the checker raised {last}", (), checker.facts, bug)
