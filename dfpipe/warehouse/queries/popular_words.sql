-- The newest run's words by percent of its posts.
-- param ts TIMESTAMP = NULL: use the newest run at or before this time
WITH newest AS (
  SELECT MAX(ts) AS ts FROM runs WHERE ts <= COALESCE(@ts, ts)
)
SELECT ts, rank, word, count, percent
FROM word_counts
JOIN newest USING (ts)
ORDER BY rank
