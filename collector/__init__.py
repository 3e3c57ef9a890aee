"""The service that brings timelines in: sources to Datastore, one task for each account."""
