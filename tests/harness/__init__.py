"""Tests of `harness/`, file by file."""
