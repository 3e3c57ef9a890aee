"""Posts between archives, stores and the analysis."""
