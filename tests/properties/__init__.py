"""Tests of `properties/`, file by file."""
