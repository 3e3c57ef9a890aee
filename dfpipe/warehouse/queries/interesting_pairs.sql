-- The newest run's word pairs by log_weight.
-- param ts TIMESTAMP = NULL: use the newest run at or before this time
WITH newest AS (
  SELECT MAX(ts) AS ts FROM runs WHERE ts <= COALESCE(@ts, ts)
)
SELECT ts, rank, w1, w2, count, log_weight
FROM word_cooccur
JOIN newest USING (ts)
ORDER BY rank
