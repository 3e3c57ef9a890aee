"""`python -m taskqueue` is the command `taskqueue`."""

from taskqueue.cli.main import main

if __name__ == "__main__":
    main()
