"""`python -m reqrep`: the same command as `reqrep`."""

from .harness.cli import main

if __name__ == "__main__":
    main()
