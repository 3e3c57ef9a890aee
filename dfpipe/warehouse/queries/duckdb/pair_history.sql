WITH ranked AS (
  SELECT
    ts,
    rank,
    count,
    log_weight
  FROM word_cooccur
  WHERE
    w1 = CASE WHEN $w1 IS NULL OR $w2 IS NULL THEN NULL ELSE LEAST($w1, $w2) END
    AND w2 = CASE WHEN $w1 IS NULL OR $w2 IS NULL THEN NULL ELSE GREATEST($w1, $w2) END
)
SELECT
  runs.ts,
  ranked.rank,
  ranked.count,
  ranked.log_weight
FROM runs
LEFT JOIN ranked
  ON runs.ts = ranked.ts
ORDER BY
  runs.ts NULLS FIRST
