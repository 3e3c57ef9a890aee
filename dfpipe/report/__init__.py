"""A run as one HTML file, and the drawings in it, which other pages may show too."""
