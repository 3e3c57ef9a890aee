WITH ranked AS (
  SELECT
    ts,
    rank,
    count,
    percent
  FROM word_counts
  WHERE
    word = $word
)
SELECT
  runs.ts,
  ranked.rank,
  ranked.count,
  ranked.percent
FROM runs
LEFT JOIN ranked
  ON runs.ts = ranked.ts
ORDER BY
  runs.ts NULLS FIRST
