-- The words with the largest gain in percent against an earlier run.
-- That is the last run at least `since` hours older than the newest; without one there is no row.
-- A word that it has not ranked counts as 0 percent there.
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
  SELECT word, percent FROM word_counts JOIN before USING (ts)
),
gains AS (
  SELECT
    latest.ts,
    latest.rank,
    latest.word,
    latest.count,
    latest.percent,
    earlier.percent AS previous_percent,
    latest.percent - COALESCE(earlier.percent, 0) AS gain
  FROM word_counts AS latest
  JOIN newest ON latest.ts = newest.ts
  JOIN before ON before.ts IS NOT NULL
  LEFT JOIN earlier ON latest.word = earlier.word
)
SELECT ts, rank, word, count, percent, previous_percent, gain
FROM gains
WHERE gain > 0
ORDER BY gain DESC, rank
