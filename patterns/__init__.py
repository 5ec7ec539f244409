"""What is run: one file per pattern, plain pyzmq, each exporting patterns as values.

Nothing in here imports the machine but for the words that declare a pattern, so
each program reads, and runs, like any other pyzmq program.
"""

if __name__ != "reqrep.patterns":
    raise ImportError(f"this is reqrep.patterns, imported as {__name__}: import it by that name")
