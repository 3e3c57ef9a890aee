"""`python -m workflow` is the command `workflow`."""

from workflow.cli.main import main

if __name__ == "__main__":
    main()
