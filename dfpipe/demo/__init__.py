"""The synthetic timeline."""
