"""The launcher: cron starts chains of jobs, which it watches, and people see the results."""
