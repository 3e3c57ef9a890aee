"""The pages of results and jobs, and the same as JSON and CSV."""
