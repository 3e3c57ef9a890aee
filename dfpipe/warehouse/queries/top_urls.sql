-- The newest run's URLs by the number of posts that carry them.
-- param ts TIMESTAMP = NULL: use the newest run at or before this time
WITH newest AS (
  SELECT MAX(ts) AS ts FROM runs WHERE ts <= COALESCE(@ts, ts)
)
SELECT ts, rank, url, count
FROM urls
JOIN newest USING (ts)
ORDER BY rank
