WITH newest AS (
  SELECT
    MAX(ts) AS ts
  FROM runs
  WHERE
    ts <= COALESCE($ts, ts)
), before AS (
  SELECT
    MAX(runs.ts) AS ts
  FROM runs
  CROSS JOIN newest
  WHERE
    runs.ts < newest.ts AND runs.ts <= (
      newest.ts - INTERVAL ($since) HOUR
    )
), earlier AS (
  SELECT
    word,
    percent
  FROM word_counts
  JOIN before
    USING (ts)
), gains AS (
  SELECT
    latest.ts,
    latest.rank,
    latest.word,
    latest.count,
    latest.percent,
    earlier.percent AS previous_percent,
    latest.percent - COALESCE(earlier.percent, 0) AS gain
  FROM word_counts AS latest
  JOIN newest
    ON latest.ts = newest.ts
  JOIN before
    ON NOT before.ts IS NULL
  LEFT JOIN earlier
    ON latest.word = earlier.word
)
SELECT
  ts,
  rank,
  word,
  count,
  percent,
  previous_percent,
  gain
FROM gains
WHERE
  gain > 0
ORDER BY
  gain DESC,
  rank NULLS FIRST
