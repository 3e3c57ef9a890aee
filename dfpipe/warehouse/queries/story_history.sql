-- The stories of earlier runs like one of the newest run, newest first.
-- They have the same leading edge, or at least half of its words.
-- table: ts, rank, words, posts, users, percent, recent, before
-- compares: all
-- param w1 STRING: a word of the story's leading edge
-- param w2 STRING: the other, in any order
-- param ts TIMESTAMP = NULL: use the newest run at or before this time
WITH newest AS (
  SELECT MAX(ts) AS ts FROM runs WHERE ts <= COALESCE(@ts, ts)
),
own AS (
  SELECT token AS word
  FROM stories
  JOIN newest USING (ts)
  CROSS JOIN UNNEST(SPLIT(stories.words, ' ')) AS token
  WHERE w1 = LEAST(@w1, @w2) AND w2 = GREATEST(@w1, @w2)
),
shared AS (
  SELECT stories.ts, stories.rank, COUNT(*) AS words
  FROM stories
  CROSS JOIN UNNEST(SPLIT(stories.words, ' ')) AS token
  JOIN own ON own.word = token
  GROUP BY stories.ts, stories.rank
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
JOIN runs ON stories.ts = runs.ts
JOIN newest ON stories.ts < newest.ts
CROSS JOIN (SELECT COUNT(*) AS words FROM own) AS wanted
LEFT JOIN shared ON stories.ts = shared.ts AND stories.rank = shared.rank
WHERE (stories.w1 = LEAST(@w1, @w2) AND stories.w2 = GREATEST(@w1, @w2)) OR 2 * shared.words >= wanted.words
ORDER BY stories.ts DESC, stories.rank
