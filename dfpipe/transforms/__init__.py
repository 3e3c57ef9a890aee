"""The steps of the analysis as Beam transforms: thin, over the pure functions of dfpipe."""

from dfpipe.posts.slices import TimeSlice, time_slices
from dfpipe.transforms.pair_rankings import PairRankings
from dfpipe.transforms.read_posts import ReadPosts, ReadTokens
from dfpipe.transforms.top_counts import CountInShards, TopCounts
from dfpipe.transforms.write_results import WriteResults

__all__ = [
    "CountInShards",
    "PairRankings",
    "ReadPosts",
    "ReadTokens",
    "TimeSlice",
    "TopCounts",
    "WriteResults",
    "time_slices",
]
