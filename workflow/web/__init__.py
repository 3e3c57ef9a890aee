"""Task handlers, status pages and their JSON."""
