from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import reqrep
from reqrep import Hop, Link, MisuseError, Pattern, Role
from reqrep.harness.catalogue import claim, pattern_names, property_names
from reqrep.patterns.req_rep import ReqClient, rep_server

NOTHING: Any = "no program"


async def coroutine(context: Any, endpoint: str) -> None:
    """A program that nobody runs."""


def small(**changes: Any) -> Pattern:
    fields: dict[str, Any] = {
        "name": "small",
        "summary": "",
        "roles": (Role("server", rep_server), Role("client", ReqClient)),
        "links": (Link("service", binds="server", connects=("client",)),),
        "hops": (),
        "promises": (),
    }
    return Pattern(**{**fields, **changes})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"roles": (Role("server", rep_server),)}, "exactly one must be named 'client'"),
        ({"links": (Link("service", "broker", ("client",)),)}, "no role 'broker' in 'small'"),
        ({"links": (Link("service", "server", ("server",)),)}, "'client' neither binds"),
        (
            {"hops": (Hop("request", "servise", "client", "[body]", "server", "[body]"),)},
            "did you mean service?",
        ),
        (
            {"hops": (Hop("request", "service", "client", "body", "server", "[body]"),)},
            "cannot be read",
        ),
        ({"roles": (Role("client", ReqClient), Role("server", NOTHING))}, "cannot be called"),
        ({"roles": (Role("client", ReqClient), Role("server", coroutine))}, "asyncio.run()"),
        ({"roles": (Role("client", ReqClient), *[Role("a", print)] * 2)}, "names a role twice"),
    ],
)
def test_a_pattern_that_does_not_fit_together_is_refused(
    changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(MisuseError) as caught:
        small(**changes)
    assert says in str(caught.value)


def test_replacing_a_role_keeps_the_rest_and_the_promises() -> None:
    pattern = reqrep.pattern("load-balancing")
    mine = pattern.with_roles(broker=print)
    assert mine.role("broker").program is print
    assert replace(mine, roles=pattern.roles, changed={}) == pattern


def test_replacing_a_role_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(MisuseError, match="did you mean broker"):
        reqrep.pattern("load-balancing").with_roles(brokr=print)


def test_an_unknown_pattern_comes_with_the_nearest_names() -> None:
    with pytest.raises(MisuseError, match="did you mean load-balancing"):
        reqrep.pattern("load-balancer")


@pytest.mark.parametrize("name", ["json:loads", "nowhere:PATTERN", "json:nothing"])
def test_a_reference_that_leads_to_no_pattern_is_refused(name: str) -> None:
    with pytest.raises(MisuseError, match=name.partition(":")[0]):
        reqrep.pattern(name)


@pytest.mark.parametrize("name", pattern_names())
def test_a_plugged_in_pattern_declares_all_that_it_should(name: str) -> None:
    pattern = reqrep.pattern(name)
    assert pattern.name == name
    assert pattern.summary
    assert pattern.source
    assert pattern.does_not_survive
    assert {promise.property for promise in pattern.promises} <= set(property_names())
    assert all(any(hop.carries == kind for hop in pattern.hops) for kind in ("request", "reply"))


@pytest.mark.parametrize("name", property_names())
def test_a_plugged_in_property_says_what_it_claims(name: str) -> None:
    assert claim(name).name == name
    assert claim(name).summary


def test_each_kind_of_promise_is_made_by_some_pattern() -> None:
    promised = {p.property for name in pattern_names() for p in reqrep.pattern(name).promises}
    assert set(property_names()) == promised
