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
  rising_words.recent,
  before,
  percent_recent,
  percent_before,
  score,
  p_value
FROM rising_words
JOIN newest
  USING (ts)
ORDER BY
  rank NULLS FIRST
