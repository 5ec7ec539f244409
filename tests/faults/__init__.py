"""Tests of `harness/faults/` and of what faults mean for a run."""
