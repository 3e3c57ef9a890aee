"""The subcommands of `dfpipe`, one file each."""
