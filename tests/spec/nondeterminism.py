"""What is not compared with libzmq, and why."""
from __future__ import annotations
from .programs import Program
def is_left_out(program: Program) -> bool:
    return False
