-- The newest run's hosts by the posts of their URLs.
-- Counts only ranked URLs; a post with two URLs of a host counts twice.
-- param ts TIMESTAMP = NULL: use the newest run at or before this time
WITH newest AS (
  SELECT MAX(ts) AS ts FROM runs WHERE ts <= COALESCE(@ts, ts)
),
hosts AS (
  SELECT
    ts,
    REGEXP_EXTRACT(url, r'^https?://(?:[^/?#@]*@)?(\[[^\]/?#]*\]|[^/?#:]+)') AS host,
    count
  FROM urls
  JOIN newest USING (ts)
)
SELECT ts, host, COUNT(*) AS urls, SUM(count) AS count
FROM hosts
WHERE host <> ''
GROUP BY ts, host
ORDER BY count DESC, host
