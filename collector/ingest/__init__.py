"""Pushed posts: accepted into a pull queue, stored by workers."""
