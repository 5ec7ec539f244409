"""The clauses of libzmq's rules, each a test that runs on every world where it holds."""
