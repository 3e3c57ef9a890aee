"""Posts that others push: accepted into a pull queue, stored by workers."""
