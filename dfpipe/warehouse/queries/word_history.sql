-- One word's rank and percent over the runs, oldest first.
-- The values are empty for runs that have not ranked it.
-- compares: all
-- param word STRING: the word, as stored in the tables
WITH ranked AS (
  SELECT ts, rank, count, percent FROM word_counts WHERE word = @word
)
SELECT runs.ts, ranked.rank, ranked.count, ranked.percent
FROM runs
LEFT JOIN ranked ON runs.ts = ranked.ts
ORDER BY runs.ts
