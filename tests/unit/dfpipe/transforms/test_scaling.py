"""No step gathers in one place what grows with the number of posts: docs/scale.md."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders import PickleCoder
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.pvalue import AsList, AsSingleton
from apache_beam.transforms.userstate import BagStateSpec

from benchmarks import synthetic
from benchmarks.shuffled import Probe
from dfpipe import datastore
from dfpipe.analysis.word_sets import word_sets
from dfpipe.engines import at_launch
from dfpipe.launch import parse
from dfpipe.options import settings
from dfpipe.pipeline import Analysis, build
from dfpipe.posts import reading
from dfpipe.posts.post import to_entity
from dfpipe.transforms import WriteResults
from tests.support.analysis import run
from tests.support.gathering import gathered, gathering_steps, grown

POSTS = 1_000
# Every step that gathers, under what it gathers: none of this grows with the posts. A new step
# has to find its place here, and its line in docs/scale.md.
GATHERED = {
    "times: --slices of them, on random keys": {"ReadTokens/ShareOut/ReshufflePerKey"},
    "three sums of each bundle": {"AddTallies/CombinePerKey"},
    "partial counts of the words or URLs of a shard": {
        "CountWords/GatherShards",
        "CountUrls/GatherShards",
    },
    "partial counts of a shard's pairs, among the candidates alone": {
        "PairRankings/RankLikely/GatherPairs",
        "PairRankings/RankAll/GatherPairs",
    },
    "what a story's posts have, in the shards of its users, links and words": {
        "Stories/CountFacts/GatherShards",
    },
    "partial counts of distinct sets of words, of stories alone": {
        "Stories/Copies/GatherCopies",
    },
    "partial counts of distinct sets of edges": {"Stories/CountEdgeSets/GatherShards"},
    "counts of distinct sets of edges": {"Stories/Group/Apply[0]"},
    "what a shard knows of each story": {
        "Stories/Stories/Apply[1]",
        "Stories/Stories/Apply[2]",
    },
    "three numbers": {
        "AddTallies/InjectDefault[0]",
        "Sizes/Apply[0]",
        "RisingWords/RisingOfShard[0]",
        "RisingWords/Once/Apply[1]",
        "PairRankings/Choose/Apply[3]",
        "Stories/EdgePosts[1]",
        "Stories/Group/Apply[2]",
        "Stories/Stories/Apply[3]",
        "PairRankings/MostPromising/BestOfShard[0]",
        "PairRankings/MostPromising/Once/Apply[1]",
        "PairRankings/RankLikely/TopOfShard[1]",
        "PairRankings/Survivors/Reaching[2]",
        "PairRankings/Survivors/Once/Apply[3]",
        "PairRankings/RankAll/TopOfShard[1]",
        "Rows/Apply[0]",
        "Rows/Apply[1]",
    },
    "the candidates of each shard": {
        "PairRankings/MostPromising/Once/Apply[0]",
        "PairRankings/Survivors/Once/Apply[0]",
    },
    "the candidates": {
        "PairRankings/RankLikely/CountPairs[0]",
        "PairRankings/RankLikely/TopOfShard[0]",
        "PairRankings/Survivors/Reaching[1]",
        "PairRankings/Survivors/Once/Apply[2]",
        "PairRankings/RankAll/CountPairs[0]",
        "PairRankings/RankAll/TopOfShard[0]",
        "PairRankings/Choose/Apply[1]",
    },
    "the ranking of each shard": {
        "TopWords/Once/Apply[0]",
        "TopUrls/Once/Apply[0]",
        "RisingWords/Once/Apply[0]",
        "PairRankings/RankLikely/Once/Apply[0]",
        "PairRankings/RankAll/Once/Apply[0]",
    },
    "a ranking": {
        "Sizes/Apply[1]",
        "Stories/EdgePosts[0]",
        "Stories/Group/Apply[1]",
        "PairRankings/Survivors/Reaching[0]",
        "PairRankings/Survivors/Once/Apply[1]",
        "PairRankings/Choose/Apply[0]",
        "PairRankings/Choose/Apply[2]",
        *(f"Rows/Apply[{i}]" for i in range(2, 7)),
    },
    "the edges and their groups": {"Stories/FindFacts[0]", "Stories/Stories/Apply[0]"},
}
# What grows with the words, and is cut in as many shards as one likes; of pairs up to a limit.
IN_SHARDS = {step for step in set().union(*GATHERED.values()) if "/Gather" in step}
STEPS = set().union(*GATHERED.values())
# Of made-up posts at random times no word rises, until each has several times as many posts as it
# had; then there are --top-rising of them.
RISING = {"RisingWords/Once/Apply[0]", "Rows/Apply[5]"}
# A story shows up to 5 links, 5 examples and 96 parts of the window: other posts fill up more.
SHOWN = {"Stories/Stories/Apply[1]", "Stories/Stories/Apply[2]", "Rows/Apply[6]"}


def wired() -> tuple[beam.Pipeline, Analysis]:
    """The whole graph of `dfpipe run`."""
    options = parse(["--store=sqlite:///p.db", "--sink=duckdb:///r.duckdb"], {})
    pipeline = beam.Pipeline(options=options)
    analysis = build(pipeline, settings(options, synthetic.END))
    _ = analysis.tables | "WriteResults" >> WriteResults("duckdb:///r.duckdb", 0.0)
    return pipeline, analysis


def test_every_step_that_gathers_is_known() -> None:
    pipeline, _ = wired()
    assert gathering_steps(pipeline) == STEPS
    assert sum(map(len, GATHERED.values())) == len(STEPS)


def test_a_template_gathers_its_time_besides() -> None:
    options = parse(["--store=sqlite:///p.db", "--sink=duckdb:///r.duckdb"], {})
    pipeline = beam.Pipeline(options=options)
    chosen = settings(options, synthetic.END)
    analysis = build(pipeline, chosen, given=at_launch.leave_open(chosen, options))
    _ = analysis.tables | "WriteResults" >> WriteResults(
        "duckdb:///r.duckdb", AsSingleton(analysis.began)
    )
    assert gathering_steps(pipeline) ^ STEPS == {"WriteResults/ReplaceRun[0]"}


class Remember(beam.DoFn):
    SEEN = BagStateSpec("seen", PickleCoder())

    def process(self, element: Any, seen: Any = beam.DoFn.StateParam(SEEN)) -> None:  # noqa: B008
        seen.add(element)


NAIVE = {
    "GroupByKey": lambda sets: sets | "One" >> beam.WithKeys(0) | "Gather" >> beam.GroupByKey(),
    "CombineGlobally": lambda sets: sets | "Gather" >> beam.CombineGlobally(list),
    "ToList": lambda sets: sets | "Gather" >> beam.combiners.ToList(),
    "ReshufflePerKey": lambda sets: (
        sets | "One" >> beam.WithKeys(0) | "Gather" >> beam.transforms.util.ReshufflePerKey()
    ),
    "AsList": lambda sets: (
        sets.pipeline
        | beam.Create([0], False)
        | "Gather" >> beam.Map(lambda _, held: len(held), AsList(sets))
    ),
}
CAUGHT = {
    "GroupByKey": {"Gather"},
    "CombineGlobally": {"Gather/CombinePerKey", "Gather/InjectDefault[0]"},
    "ToList": {"Gather/Gather/CombinePerKey", "Gather/Gather/InjectDefault[0]"},
    "ReshufflePerKey": {"Gather"},
    "AsList": {"Gather[0]"},
}


@pytest.mark.parametrize("naive", NAIVE)
def test_a_new_step_that_gathers_is_found(naive: str) -> None:
    pipeline, analysis = wired()
    NAIVE[naive](analysis.batches)
    assert gathering_steps(pipeline) - STEPS == CAUGHT[naive]


def test_a_new_step_with_state_is_found() -> None:
    pipeline, analysis = wired()
    _ = analysis.batches | "One" >> beam.WithKeys(0) | "Gather" >> beam.ParDo(Remember())
    assert gathering_steps(pipeline) - STEPS == {"Gather(state)"}


def store(path: Path, posts: int, copies: int) -> str:
    """Made-up posts so many times, with other ids: the same words, in more posts."""
    url = f"sqlite:///{path}/{posts}x{copies}.db"
    client = datastore.connect(url)
    for batch in synthetic.posts(posts, burst=1.0):
        for copy in range(copies):
            more = [replace(post, tid=post.tid + copy) for post in batch]
            client.put_multi([to_entity(post, client, post.created_at) for post in more])
    return url


def measured(path: Path, *words: str, posts: int = POSTS, copies: int = 1) -> dict[str, int]:
    """What each step has gathered in a run over the copies."""
    probe = Probe()
    sink = f"duckdb:///{path}/{posts}x{copies}.duckdb"
    with probe.watching():
        run(store(path, posts, copies), sink, f"--until={synthetic.until()}", *words)
    return gathered(probe)


def test_more_posts_gather_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The same posts four times, in four times the batches; and as many that have more words.
    monkeypatch.setattr(reading, "BATCH", 8)
    few = ("--pair-candidates=50", "--top-words=50", "--top-urls=3", "--top-pairs=20")
    few = (*few, "--top-rising=5", "--shards=4")
    once = measured(tmp_path, *few)
    four_times = measured(tmp_path, *few, copies=4)
    others = measured(tmp_path, *few, posts=4 * POSTS)
    for gathered_by in (once, four_times, others):
        assert STEPS - RISING <= set(gathered_by) <= STEPS
    assert min(once.values()) > 0
    # As words begin to rise, the candidates become up to twice --pair-candidates.
    assert grown(once, four_times) <= RISING | {"PairRankings/RankLikely/GatherPairs"}
    assert grown(once, others) <= IN_SHARDS | SHOWN


def test_more_shards_gather_less_on_each(tmp_path: Path) -> None:
    few, many = (measured(tmp_path, f"--shards={shards}") for shards in (4, 16))
    for step in ("CountWords/GatherShards", "PairRankings/RankLikely/GatherPairs"):
        assert 0.2 * few[step] < many[step] < 0.4 * few[step]


@pytest.mark.parametrize("naive", NAIVE)
def test_growth_is_seen(naive: str) -> None:
    batch = word_sets([{"one", f"word{i}"} for i in range(100)])
    sizes = []
    for copies in (2, 8):
        probe = Probe()
        options = PipelineOptions(["--runner=FnApiRunner"])
        with probe.watching(), beam.Pipeline(options=options) as pipeline:
            NAIVE[naive](pipeline | "Sets" >> beam.Create([batch] * copies, reshuffle=False))
        sizes.append(gathered(probe))
    assert grown(*sizes) & CAUGHT[naive]
