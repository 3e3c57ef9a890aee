WITH newest AS (
  SELECT
    MAX(ts) AS ts
  FROM runs
  WHERE
    ts <= COALESCE($ts, ts)
), chosen AS (
  SELECT
    stories.*
  FROM stories
  JOIN newest
    USING (ts)
  WHERE
    w1 = CASE WHEN $w1 IS NULL OR $w2 IS NULL THEN NULL ELSE LEAST($w1, $w2) END
    AND w2 = CASE WHEN $w1 IS NULL OR $w2 IS NULL THEN NULL ELSE GREATEST($w1, $w2) END
), items AS (
  SELECT
    1 AS place,
    'story' AS item,
    rank,
    NULL AS tid,
    CAST(NULL AS TEXT) AS url,
    CAST(NULL AS TIMESTAMPTZ) AS part_start,
    posts AS count
  FROM chosen
  UNION ALL
  SELECT
    2,
    'post',
    story_posts.rank,
    story_posts.tid,
    NULL,
    NULL,
    copies
  FROM story_posts
  JOIN chosen
    ON story_posts.ts = chosen.ts AND story_posts.story = chosen.rank
  UNION ALL
  SELECT
    3,
    'url',
    story_urls.rank,
    NULL,
    story_urls.url,
    NULL,
    story_urls.count
  FROM story_urls
  JOIN chosen
    ON story_urls.ts = chosen.ts AND story_urls.story = chosen.rank
  UNION ALL
  SELECT
    4,
    'part',
    NULL,
    NULL,
    NULL,
    story_timeline.part_start,
    story_timeline.count
  FROM story_timeline
  JOIN chosen
    ON story_timeline.ts = chosen.ts AND story_timeline.story = chosen.rank
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
LEFT JOIN chosen
  ON items.item = 'story'
ORDER BY
  items.place NULLS FIRST,
  items.rank NULLS FIRST,
  items.part_start NULLS FIRST
