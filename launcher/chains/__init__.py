"""Chains of jobs: their definition, their executions and the events that move them."""
