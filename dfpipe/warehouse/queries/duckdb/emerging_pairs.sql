WITH newest AS (
  SELECT
    MAX(ts) AS ts
  FROM runs
  WHERE
    ts <= COALESCE($ts, ts)
), earlier AS (
  SELECT DISTINCT
    w1,
    w2
  FROM word_cooccur
  JOIN runs
    USING (ts)
  CROSS JOIN newest
  WHERE
    runs.ts < newest.ts AND runs.ts <= (
      newest.ts - INTERVAL ($since) HOUR
    )
)
SELECT
  ts,
  rank,
  latest.w1,
  latest.w2,
  count,
  log_weight
FROM word_cooccur AS latest
JOIN newest
  USING (ts)
LEFT JOIN earlier
  ON latest.w1 = earlier.w1 AND latest.w2 = earlier.w2
WHERE
  earlier.w1 IS NULL
ORDER BY
  rank NULLS FIRST
