"""`python -m launcher` is the command `launcher`."""

from launcher.cli import main

if __name__ == "__main__":
    main()
