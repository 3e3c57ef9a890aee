"""The launcher: cron hits it, jobs run, chains of jobs go on, and people look."""
