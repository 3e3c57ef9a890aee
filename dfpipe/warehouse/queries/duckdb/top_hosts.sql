WITH newest AS (
  SELECT
    MAX(ts) AS ts
  FROM runs
  WHERE
    ts <= COALESCE($ts, ts)
), hosts AS (
  SELECT
    ts,
    ARRAY_EXTRACT(REGEXP_EXTRACT_ALL(url, '^https?://(?:[^/?#@]*@)?(\[[^\]/?#]*\]|[^/?#:]+)', 1), 1) AS host,
    count
  FROM urls
  JOIN newest
    USING (ts)
)
SELECT
  ts,
  host,
  COUNT(*) AS urls,
  SUM(count) AS count
FROM hosts
WHERE
  host <> ''
GROUP BY
  ts,
  host
ORDER BY
  count DESC,
  host NULLS FIRST
