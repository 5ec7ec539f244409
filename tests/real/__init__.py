"""The real worlds: what stands between their nodes, and what it does to them."""
