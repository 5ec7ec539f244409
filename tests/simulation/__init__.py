"""Tests of what only the simulation has: turns, virtual time, a network that can be hurt."""
