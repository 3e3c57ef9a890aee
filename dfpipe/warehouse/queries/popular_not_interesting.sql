-- The newest run's popular words that are in no interesting pair.
-- param ts TIMESTAMP = NULL: use the newest run at or before this time
WITH newest AS (
  SELECT MAX(ts) AS ts FROM runs WHERE ts <= COALESCE(@ts, ts)
),
interesting AS (
  SELECT w1 AS word FROM word_cooccur JOIN newest USING (ts)
  UNION DISTINCT
  SELECT w2 AS word FROM word_cooccur JOIN newest USING (ts)
)
SELECT ts, rank, word_counts.word, count, percent
FROM word_counts
JOIN newest USING (ts)
LEFT JOIN interesting ON word_counts.word = interesting.word
WHERE interesting.word IS NULL
ORDER BY rank
