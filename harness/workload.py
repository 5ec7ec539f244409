"""The workload: what is asked for, how fast, with which bodies, and how long the work takes.

Everything drawn in here comes from the seed of the scenario, one stream for each
client and each worker, so the demand of a run is the same in every world.

*Closed loop* clients wait for replies before they ask again, and so ask less
when the system is slow. *Open loop* clients ask at planned times whatever comes
back, and their latency counts from the planned time: a stall that kept a request
from leaving is part of what its user waited (coordinated omission, as Gil Tene
named it and wrk2 measures it).

Whatever is planned, a client has at most 500 requests open: a socket holds some 1000
messages, and with more on the way a ROUTER may throw replies away while the machine
lets the client wait. More at once takes more clients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count, repeat
from math import log
from random import Random
from typing import Any, Literal, TypeGuard, cast, get_args

import msgspec

from .errors import MisuseError
from .frames import Body
from .references import resolve
from .values import (
    Value,
    require,
    require_at_least,
    require_count,
    require_kind,
    require_more_than_0,
)

NS_PER_S = 1_000_000_000
Frame = bytes

DRAWN_BYTES = 512
"""How much of small bodies is drawn at once."""


# --- when requests are due --------------------------------------------------


class ClosedLoop(Value, frozen=True, tag="closed-loop"):
    """Ask again when a reply has made room in the window.

    Args:
        window: Requests that one client keeps open, 1 or more; more than 500 counts as 500; more
            than 1 needs a client that can pipeline.
        think_time_s: Pause between a reply and the next request, in seconds, 0 or more.
    """

    window: int = 1
    think_time_s: float = 0.0

    def __post_init__(self) -> None:
        require_count("ClosedLoop.window", self.window)
        require_at_least(0, "ClosedLoop.think_time_s", self.think_time_s)


class OpenLoop(Value, frozen=True, tag="open-loop"):
    """Ask at planned times, whatever comes back.

    Args:
        rate_per_s: Requests per second of the whole fleet, more than 0.
        arrivals: `even`, or `poisson` for exponentially drawn gaps.
    """

    rate_per_s: float
    arrivals: Literal["even", "poisson"] = "even"

    def __post_init__(self) -> None:
        require_more_than_0("OpenLoop.rate_per_s", self.rate_per_s)
        require(
            self.arrivals in ("even", "poisson"),
            "OpenLoop.arrivals",
            self.arrivals,
            "it must be 'even' or 'poisson'",
        )


class Bursts(Value, frozen=True, tag="bursts"):
    """Each client asks in bursts at planned times.

    Args:
        size: Requests in one burst of one client, 1 or more.
        pause_s: From the beginning of one burst to the next, in seconds, 0 or more.
    """

    size: int = 10
    pause_s: float = 0.1

    def __post_init__(self) -> None:
        require_count("Bursts.size", self.size)
        require_at_least(0, "Bursts.pause_s", self.pause_s)


Arrival = ClosedLoop | OpenLoop | Bursts


def planned_times(
    arrival: OpenLoop | Bursts, client: int, clients: int, seed: int
) -> Iterator[int]:
    """When the requests of one client are due, in nanoseconds from the start of the load."""
    if isinstance(arrival, Bursts):
        return (
            int(burst * arrival.pause_s * NS_PER_S)
            for burst in count()
            for _ in range(arrival.size)
        )
    gap_ns = clients * NS_PER_S / arrival.rate_per_s
    if arrival.arrivals == "even":
        return (int((number + client / clients) * gap_ns) for number in count())
    return _poisson(gap_ns, Random(f"arrivals/{seed}/{client}"))


def _poisson(gap_ns: float, random: Random) -> Iterator[int]:
    at = 0.0
    while True:
        at += random.expovariate(1) * gap_ns
        yield int(at)


# --- what is asked ----------------------------------------------------------


def is_body(what: object) -> TypeGuard[Body]:
    """Whether something is a body: a list of frames. What a program hands over need not be."""
    return isinstance(what, list) and all(map(isinstance, what, repeat(bytes)))


class Sized(Value, frozen=True, tag="sized"):
    """Random content of a size.

    Args:
        bytes: Size of each frame; 0 gives frames that hold nothing but the op id.
        frames: Frames of the body, 1 or more.
        content: `text`, which a person can read in a witness, or `binary`.
    """

    bytes: int = 16
    frames: int = 1
    content: Literal["text", "binary"] = "text"

    def __post_init__(self) -> None:
        require_count("Sized.bytes", self.bytes, least=0)
        require_count("Sized.frames", self.frames)
        require(
            self.content in ("text", "binary"),
            "Sized.content",
            self.content,
            "it must be 'text' or 'binary'",
        )

    def bodies(self, client: int, seed: int) -> Iterator[Body]:
        random = Random(f"bodies/{seed}/{client}")
        frame, body = self.bytes, self.bytes * self.frames
        while not frame:
            yield [b""] * self.frames
        # Small bodies are drawn many at a time: a draw costs more than what it draws.
        drawn = body * max(1, DRAWN_BYTES // body)
        while True:
            content = self._content(random, drawn)
            for begin in range(0, drawn, body):
                yield [content[at : at + frame] for at in range(begin, begin + body, frame)]

    def _content(self, random: Random, size: int) -> Frame:
        if self.content == "binary":
            return random.randbytes(size)
        return random.randbytes((size + 1) // 2).hex().encode()[:size]


class UserDirectory(Value, frozen=True, tag="user-directory"):
    """Look-ups in a made-up user directory: a metadata frame and a JSON body, by Faker.

    The metadata frame reads `META:userid=1234`.

    Args:
        locale: A locale of Faker's, such as `en_US` or `ko_KR`.

    Raises:
        MisuseError: When the bodies are made and Faker is not installed or
            does not know the locale.
    """

    locale: str = "en_US"

    def bodies(self, client: int, seed: int) -> Iterator[Body]:
        import json

        try:
            from faker import Faker
        except ImportError:
            raise MisuseError(
                'UserDirectory needs Faker, which is not installed: pip install "reqrep[faker]"'
            ) from None
        try:
            fake = Faker(self.locale)
        except AttributeError:
            raise MisuseError(
                f"UserDirectory.locale is {self.locale!r}, which Faker does not know; "
                "try 'en_US' or 'ko_KR'"
            ) from None
        fake.seed_instance(f"bodies/{seed}/{client}")
        while True:
            user = fake.random_int(1000, 9999)
            entry = {"userid": user, "name": fake.name(), "email": fake.email()}
            yield [b"META:userid=%d" % user, json.dumps(entry, ensure_ascii=False).encode()]


class FromFunction(Value, frozen=True, tag="from-function"):
    """Bodies from a function of yours.

    Args:
        function: `module:name` of a function that is called with the number of
            the client and the number of its request, both from 0, and returns the
            body: one `bytes` or a list of them.
    """

    function: str

    def bodies(self, client: int, seed: int) -> Iterator[Body]:
        make = cast(
            Callable[[int, int], Any], resolve(self.function, "a function that makes bodies")
        )
        for number in count():
            try:
                body = make(client, number)
            except Exception as error:
                raise MisuseError(
                    f"{self.function}({client}, {number}) raised {error!r}"
                ) from error
            frames = [body] if isinstance(body, bytes) else body
            if not frames or not is_body(frames):
                raise MisuseError(
                    f"{self.function}({client}, {number}) returned {body!r}; "
                    "it must return bytes or a list of at least one bytes"
                )
            yield list(frames)


Bodies = Sized | UserDirectory | FromFunction


# --- how long the work takes ------------------------------------------------
#
# `draw(fraction)` turns a number that is drawn evenly, from 0 to below 1, into seconds.


class Constant(Value, frozen=True, tag="constant"):
    """Every request takes the same time, in seconds, 0 or more."""

    seconds: float = 0.0

    def __post_init__(self) -> None:
        require_at_least(0, "Constant.seconds", self.seconds)

    def draw(self, fraction: float) -> float:
        return self.seconds


class Uniform(Value, frozen=True, tag="uniform"):
    """Times drawn evenly between two bounds, in seconds, 0 or more, the lower first."""

    low_s: float
    high_s: float

    def __post_init__(self) -> None:
        require_at_least(0, "Uniform.low_s", self.low_s)
        require_at_least(self.low_s, "Uniform.high_s", self.high_s)

    def draw(self, fraction: float) -> float:
        return self.low_s + (self.high_s - self.low_s) * fraction


class Exponential(Value, frozen=True, tag="exponential"):
    """Times drawn with a mean, in seconds, 0 or more: many short, few long."""

    mean_s: float

    def __post_init__(self) -> None:
        require_at_least(0, "Exponential.mean_s", self.mean_s)

    def draw(self, fraction: float) -> float:
        return -log(1.0 - fraction) * self.mean_s


class Occasional(Value, frozen=True, tag="occasional"):
    """Mostly quick, now and then slow: what shows head-of-line blocking.

    Args:
        slow_s: Time of a slow request, in seconds, 0 or more.
        one_in: How many requests there are for each slow one, on average, 1 or more.
        quick_s: Time of the others, in seconds, 0 or more.
    """

    slow_s: float
    one_in: int = 10
    quick_s: float = 0.0

    def __post_init__(self) -> None:
        require_at_least(0, "Occasional.slow_s", self.slow_s)
        require_count("Occasional.one_in", self.one_in)
        require_at_least(0, "Occasional.quick_s", self.quick_s)

    def draw(self, fraction: float) -> float:
        return self.slow_s if fraction * self.one_in < 1 else self.quick_s


ServiceTime = Constant | Uniform | Exponential | Occasional


# --- the whole --------------------------------------------------------------


class Workload(Value, frozen=True):
    """The whole demand of a scenario.

    Args:
        requests: Requests of the whole fleet, 1 or more, dealt out evenly over its clients.
        arrival: When they are due.
        bodies: What they carry.
        service: How long the work takes: one entry for all workers, or several that
            are dealt out over them in turn.
        timeout_s: How long an op may stay open, in seconds, more than 0, before the harness ends
            it as `info`: nobody knows.

    Raises:
        MisuseError: A number is out of its range.
    """

    requests: int = 100
    arrival: Arrival = ClosedLoop()
    bodies: Bodies = Sized()
    service: tuple[ServiceTime, ...] = (Constant(),)
    timeout_s: float = 5.0

    def __post_init__(self) -> None:
        require_count("Workload.requests", self.requests)
        require_kind("Workload.arrival", self.arrival, *get_args(Arrival))
        require_kind("Workload.bodies", self.bodies, *get_args(Bodies))
        require_kind("Workload.service", self.service, tuple, list)
        msgspec.structs.force_setattr(self, "service", tuple(self.service))
        require(bool(self.service), "Workload.service", self.service, "it needs at least one entry")
        for entry in self.service:
            require_kind("an entry of Workload.service", entry, *get_args(ServiceTime))
        require_more_than_0("Workload.timeout_s", self.timeout_s)

    def share_of(self, client: int, clients: int) -> int:
        """How many of the requests one client makes; who is none of them makes none."""
        return len(range(client, self.requests, clients)) if client < clients else 0

    def service_of(self, worker: int) -> ServiceTime:
        """How long the work of one worker takes."""
        return self.service[worker % len(self.service)]
