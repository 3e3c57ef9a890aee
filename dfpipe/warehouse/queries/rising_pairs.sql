-- The newest run's pairs that rise: that are in more of its recent posts than of those before.
-- A pair that repeated posts have seems surer to rise than it is. See the reference on stories.
-- param ts TIMESTAMP = NULL: use the newest run at or before this time
WITH newest AS (
  SELECT MAX(ts) AS ts FROM runs WHERE ts <= COALESCE(@ts, ts)
)
SELECT ts, rank, w1, w2, rising_pairs.recent, before, score, p_value
FROM rising_pairs
JOIN newest USING (ts)
ORDER BY rank
