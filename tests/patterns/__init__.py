"""Tests of `patterns/`, file by file."""
