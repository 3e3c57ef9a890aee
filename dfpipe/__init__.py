"""What a timeline is talking about: words, links and telling word pairs of the last days' posts."""

from dfpipe.version import VERSION as __version__

__all__ = ["__version__"]
