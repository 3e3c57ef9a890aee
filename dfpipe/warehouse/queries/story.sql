-- One story of the newest run: itself, its example posts, its links and its timeline.
-- `item` says which a row is: story, post, url or part; columns of the others are empty.
-- table: item, rank, words, count, users, recent, before, tid, url
-- param w1 STRING: a word of the story's leading edge
-- param w2 STRING: the other, in any order
-- param ts TIMESTAMP = NULL: use the newest run at or before this time
WITH newest AS (
  SELECT MAX(ts) AS ts FROM runs WHERE ts <= COALESCE(@ts, ts)
),
chosen AS (
  SELECT stories.* FROM stories JOIN newest USING (ts) WHERE w1 = LEAST(@w1, @w2) AND w2 = GREATEST(@w1, @w2)
),
items AS (
  SELECT 1 AS place, 'story' AS item, rank, NULL AS tid, CAST(NULL AS STRING) AS url,
    CAST(NULL AS TIMESTAMP) AS part_start, posts AS count
  FROM chosen
  UNION ALL
  SELECT 2, 'post', story_posts.rank, story_posts.tid, NULL, NULL, copies
  FROM story_posts
  JOIN chosen ON story_posts.ts = chosen.ts AND story_posts.story = chosen.rank
  UNION ALL
  SELECT 3, 'url', story_urls.rank, NULL, story_urls.url, NULL, story_urls.count
  FROM story_urls
  JOIN chosen ON story_urls.ts = chosen.ts AND story_urls.story = chosen.rank
  UNION ALL
  SELECT 4, 'part', NULL, NULL, NULL, story_timeline.part_start, story_timeline.count
  FROM story_timeline
  JOIN chosen ON story_timeline.ts = chosen.ts AND story_timeline.story = chosen.rank
)
SELECT
  newest.ts,
  items.item,
  items.rank,
  items.count,
  items.tid,
  items.url,
  items.part_start,
  chosen.words,
  chosen.users,
  chosen.recent,
  chosen.before,
  chosen.score,
  chosen.p_value,
  chosen.pairs,
  chosen.first_seen,
  chosen.last_seen
FROM items
CROSS JOIN newest
LEFT JOIN chosen ON items.item = 'story'
ORDER BY items.place, items.rank, items.part_start
