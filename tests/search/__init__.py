"""The search: deciders, spaces, shrinking, stories, counterexamples."""
