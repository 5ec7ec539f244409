"""The machine: runs a scenario in a world and writes down what happened.

Start with `scenario.py` (the plan, as frozen values), `run.py` (the plan meets
a world and becomes a report) and `history/` (what was written down).
"""

if __name__ != "reqrep.harness":
    raise ImportError(f"this is reqrep.harness, imported as {__name__}: import it by that name")
