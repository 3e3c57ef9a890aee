"""What a month on Google Cloud costs: the table of docs/how-to/cloud-run.md.

A calculation from list prices, not a measurement: python -m benchmarks.cloud_cost
The prices are inputs: compare them with Google's lists before you use the result.
"""

from benchmarks.incremental import HOURS_READ

SIZES = (100_000, 1_000_000, 10_000_000)  # posts a day
DAYS, WINDOW, RUNS = 30, 4, 4.8  # of a month, of an analysis, a day
SECONDS = DAYS * 86_400

# US dollars, of us-central1. Cloud Run: a vCPU and a GiB for a second, always on and idle.
CPU, MEMORY, IDLE = 0.000018, 0.000002, 0.0000025
# Datastore: 100,000 operations, and a GiB for a month.
READS, WRITES, DELETES, STORED = 0.03, 0.09, 0.01, 0.15
# Dataflow: an hour of a worker with one vCPU and 3.75 GB.
WORKER = 0.056 + 3.75 * 0.003557

POST_BYTES = 1_500  # with its index entries
KEPT = 30  # days: COLLECTOR_KEEP
# Of a job: its launcher and a worker's start, and CPU for a post (docs/scale.md).
START_HOURS, POST_SECONDS = 0.25, 55e-6


def costs(posts: int) -> dict[str, float]:
    """Dollars a month by part, for so many posts a day."""
    gib = posts * KEPT * POST_BYTES / 2**30
    hours = START_HOURS + posts * WINDOW * POST_SECONDS / 3600
    parts = {
        "dispatcher and ingest worker, always on": 2 * SECONDS * (CPU + MEMORY / 2),
        "launcher, one idle instance": SECONDS * IDLE * 2,
        "Datastore: writes, deletions, storage": posts * DAYS / 1e5 * (WRITES + DELETES)
        + gib * STORED,
        "Datastore: reads of the analyses": _reads(posts * WINDOW),
        "Dataflow": hours * WORKER * RUNS * DAYS,
    }
    # As benchmarks/incremental.py has it, which explains the terms.
    cached = _reads(posts * HOURS_READ / 24 + 2 * posts * WINDOW / 1_000)
    reads = parts["Datastore: reads of the analyses"]
    total = sum(parts.values())
    return parts | {"all": total, "all, with a cache in the bucket": total - reads + cached}


def _reads(of_a_run: float) -> float:
    return of_a_run * RUNS * DAYS / 1e5 * READS


def table() -> str:
    """The table in Markdown, in whole dollars."""
    columns = [costs(posts) for posts in SIZES]
    lines = [
        "| posts a day | " + " | ".join(f"{posts:,}" for posts in SIZES) + " |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {part} | " + " | ".join(f"${column[part]:,.0f}" for column in columns) + " |"
        for part in columns[0]
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
