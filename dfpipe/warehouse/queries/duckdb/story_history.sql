WITH newest AS (
  SELECT
    MAX(ts) AS ts
  FROM runs
  WHERE
    ts <= COALESCE($ts, ts)
), own AS (
  SELECT
    token AS word
  FROM stories
  JOIN newest
    USING (ts)
  CROSS JOIN UNNEST(STR_SPLIT(stories.words, ' ')) AS _t0(token)
  WHERE
    w1 = CASE WHEN $w1 IS NULL OR $w2 IS NULL THEN NULL ELSE LEAST($w1, $w2) END
    AND w2 = CASE WHEN $w1 IS NULL OR $w2 IS NULL THEN NULL ELSE GREATEST($w1, $w2) END
), shared AS (
  SELECT
    stories.ts,
    stories.rank,
    COUNT(*) AS words
  FROM stories
  CROSS JOIN UNNEST(STR_SPLIT(stories.words, ' ')) AS _t1(token)
  JOIN own
    ON own.word = token
  GROUP BY
    stories.ts,
    stories.rank
)
SELECT
  stories.ts,
  stories.rank,
  stories.w1,
  stories.w2,
  stories.words,
  stories.posts,
  stories.users,
  100 * stories.posts / runs.tweets AS percent,
  stories.recent,
  stories.before,
  stories.score,
  stories.p_value
FROM stories
JOIN runs
  ON stories.ts = runs.ts
JOIN newest
  ON stories.ts < newest.ts
CROSS JOIN (
  SELECT
    COUNT(*) AS words
  FROM own
) AS wanted
LEFT JOIN shared
  ON stories.ts = shared.ts AND stories.rank = shared.rank
WHERE
  (
    stories.w1 = CASE WHEN $w1 IS NULL OR $w2 IS NULL THEN NULL ELSE LEAST($w1, $w2) END
    AND stories.w2 = CASE WHEN $w1 IS NULL OR $w2 IS NULL THEN NULL ELSE GREATEST($w1, $w2) END
  )
  OR 2 * shared.words >= wanted.words
ORDER BY
  stories.ts DESC,
  stories.rank NULLS FIRST
