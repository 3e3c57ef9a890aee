-- The stories that rise in the newest run and in the runs of the hours before it, oldest run first.
-- table: ts, words, posts, users, percent, times
-- param since INT64 = 168: how many hours before
-- param ts TIMESTAMP = NULL: use the newest run at or before this time
WITH newest AS (
  SELECT MAX(ts) AS ts FROM runs WHERE ts <= COALESCE(@ts, ts)
),
links AS (
  SELECT ts, story, url FROM story_urls WHERE rank = 1
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
  SAFE_DIVIDE(
    stories.recent * (runs.tweets - runs.recent), stories.before * runs.recent
  ) AS times,
  stories.score,
  stories.p_value,
  links.url
FROM stories
JOIN runs ON stories.ts = runs.ts
JOIN newest
  ON stories.ts <= newest.ts AND stories.ts >= TIMESTAMP_SUB(newest.ts, INTERVAL @since HOUR)
LEFT JOIN links ON stories.ts = links.ts AND stories.rank = links.story
WHERE stories.score > 0 AND stories.p_value < 0.01
ORDER BY stories.ts, stories.rank
