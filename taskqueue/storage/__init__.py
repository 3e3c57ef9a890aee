"""Tasks and queues as they are stored, leased and swept."""
