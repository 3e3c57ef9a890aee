"""A program run for each task of a pull queue."""
