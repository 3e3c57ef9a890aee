WITH newest AS (
  SELECT
    MAX(ts) AS ts
  FROM runs
  WHERE
    ts <= COALESCE($ts, ts)
)
SELECT
  ts,
  rank,
  word,
  count,
  percent
FROM word_counts
JOIN newest
  USING (ts)
ORDER BY
  rank NULLS FIRST
