"""`python -m dfpipe` is the command `dfpipe`."""

from dfpipe.cli import main

# A process that shares the work imports this module under another name.
if __name__ == "__main__":
    main()
