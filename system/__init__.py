"""The whole system on one machine: its processes, and a clock that follows cron.yaml."""
