-- The newest run's pairs that no run at least some hours older has ranked, by log_weight.
-- Without an older run every pair is emerging.
-- compares: older
-- param since INT64 = 24: hours between the runs, at least
-- param ts TIMESTAMP = NULL: use the newest run at or before this time
WITH newest AS (
  SELECT MAX(ts) AS ts FROM runs WHERE ts <= COALESCE(@ts, ts)
),
earlier AS (
  SELECT DISTINCT w1, w2
  FROM word_cooccur
  JOIN runs USING (ts)
  CROSS JOIN newest
  WHERE runs.ts < newest.ts AND runs.ts <= TIMESTAMP_SUB(newest.ts, INTERVAL @since HOUR)
)
SELECT ts, rank, latest.w1, latest.w2, count, log_weight
FROM word_cooccur AS latest
JOIN newest USING (ts)
LEFT JOIN earlier ON latest.w1 = earlier.w1 AND latest.w2 = earlier.w2
WHERE earlier.w1 IS NULL
ORDER BY rank
