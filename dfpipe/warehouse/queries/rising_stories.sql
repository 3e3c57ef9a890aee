-- The newest run's stories that rise, by score: what has become a story in its recent hours.
-- The columns are those of stories.
-- table: rank, words, posts, users, percent, times, first_seen
-- param ts TIMESTAMP = NULL: use the newest run at or before this time
WITH newest AS (
  SELECT MAX(ts) AS ts FROM runs WHERE ts <= COALESCE(@ts, ts)
),
parts AS (
  SELECT
    story,
    ARRAY_AGG(part_start ORDER BY part_start) AS parts,
    ARRAY_AGG(count ORDER BY part_start) AS counts
  FROM story_timeline
  JOIN newest USING (ts)
  GROUP BY story
),
links AS (
  SELECT story, url FROM story_urls JOIN newest USING (ts) WHERE rank = 1
),
examples AS (
  SELECT story, tid FROM story_posts JOIN newest USING (ts) WHERE rank = 1
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
  stories.pairs,
  stories.first_seen,
  stories.last_seen,
  links.url,
  examples.tid,
  parts.parts,
  parts.counts
FROM stories
JOIN newest ON stories.ts = newest.ts
JOIN runs ON stories.ts = runs.ts
JOIN parts ON stories.rank = parts.story
JOIN examples ON stories.rank = examples.story
LEFT JOIN links ON stories.rank = links.story
WHERE stories.score > 0 AND stories.p_value < 0.01
ORDER BY stories.score DESC, stories.rank
