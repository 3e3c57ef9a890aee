"""The steps of the analysis as Beam transforms: thin, over the pure functions of dfpipe."""

from dfpipe.posts.slices import TimeSlice, Window, time_slices
from dfpipe.transforms.pair_rankings import PairRankings
from dfpipe.transforms.read_posts import ReadPosts, ReadTokens
from dfpipe.transforms.stories import RisingWords, Stories
from dfpipe.transforms.top_counts import CountInShards, TopCounts
from dfpipe.transforms.write_results import WriteResults

__all__ = [
    "CountInShards",
    "PairRankings",
    "ReadPosts",
    "ReadTokens",
    "RisingWords",
    "Stories",
    "TimeSlice",
    "TopCounts",
    "Window",
    "WriteResults",
    "time_slices",
]
