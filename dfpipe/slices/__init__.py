"""The cache of hourly slices: what a run needs of the posts of an hour, kept until one changes."""
