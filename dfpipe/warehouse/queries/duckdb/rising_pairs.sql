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
  w1,
  w2,
  rising_pairs.recent,
  before,
  score,
  p_value
FROM rising_pairs
JOIN newest
  USING (ts)
ORDER BY
  rank NULLS FIRST
