-- The newest run's words that rise: that are in more of its recent posts than of those before.
-- A word that repeated posts have seems surer to rise than it is. See the reference on stories.
-- param ts TIMESTAMP = NULL: use the newest run at or before this time
WITH newest AS (
  SELECT MAX(ts) AS ts FROM runs WHERE ts <= COALESCE(@ts, ts)
)
SELECT
  ts, rank, word, rising_words.recent, before, percent_recent, percent_before, score, p_value
FROM rising_words
JOIN newest USING (ts)
ORDER BY rank
