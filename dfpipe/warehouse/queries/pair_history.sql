-- One pair's rank and weight over the runs, oldest first.
-- The values are empty for runs that have not ranked it.
-- compares: all
-- param w1 STRING: a word, as stored in the tables
-- param w2 STRING: the other, in any order
WITH ranked AS (
  SELECT ts, rank, count, log_weight
  FROM word_cooccur
  WHERE w1 = LEAST(@w1, @w2) AND w2 = GREATEST(@w1, @w2)
)
SELECT runs.ts, ranked.rank, ranked.count, ranked.log_weight
FROM runs
LEFT JOIN ranked ON runs.ts = ranked.ts
ORDER BY runs.ts
