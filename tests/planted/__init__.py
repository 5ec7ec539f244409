"""Planted defects: each must be caught by the property that it is there for."""
