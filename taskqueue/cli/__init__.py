"""The command `taskqueue`."""
