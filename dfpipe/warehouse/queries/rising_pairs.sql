-- The pairs with the largest gain in rank against an earlier run.
-- That is the last run at least `since` hours older than the newest; without one there is no row.
-- A pair that it has not ranked counts as the one after its last.
-- compares: before
-- param since INT64 = 24: hours between the two runs, at least
-- param ts TIMESTAMP = NULL: take the newest run that is not after this time
WITH newest AS (
  SELECT MAX(ts) AS ts FROM runs WHERE ts <= COALESCE(@ts, ts)
),
before AS (
  SELECT MAX(runs.ts) AS ts
  FROM runs
  CROSS JOIN newest
  WHERE runs.ts < newest.ts AND runs.ts <= TIMESTAMP_SUB(newest.ts, INTERVAL @since HOUR)
),
earlier AS (
  SELECT w1, w2, rank FROM word_cooccur JOIN before USING (ts)
),
gains AS (
  SELECT
    latest.ts,
    latest.rank,
    latest.w1,
    latest.w2,
    latest.count,
    latest.log_weight,
    earlier.rank AS previous_rank,
    COALESCE(earlier.rank, unranked.rank) - latest.rank AS gain
  FROM word_cooccur AS latest
  JOIN newest ON latest.ts = newest.ts
  JOIN before ON before.ts IS NOT NULL
  CROSS JOIN (SELECT COALESCE(MAX(rank), 0) + 1 AS rank FROM earlier) AS unranked
  LEFT JOIN earlier ON latest.w1 = earlier.w1 AND latest.w2 = earlier.w2
)
SELECT ts, rank, w1, w2, count, log_weight, previous_rank, gain
FROM gains
WHERE gain > 0
ORDER BY gain DESC, rank
