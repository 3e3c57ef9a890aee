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
  url,
  count
FROM urls
JOIN newest
  USING (ts)
ORDER BY
  rank NULLS FIRST
