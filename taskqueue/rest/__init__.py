"""The REST API of pull queues, and its client."""
