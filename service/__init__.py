"""What makes a process a service: its callers, pages, commands, logs and signals."""
