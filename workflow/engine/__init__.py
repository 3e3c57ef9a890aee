"""What carries workflows out: records, transitions, tasks and the reaper."""
