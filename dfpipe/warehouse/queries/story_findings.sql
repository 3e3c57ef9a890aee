-- One story of a run, for its page: its posts, links, pairs and timeline, and the other runs.
-- `item` says what a row is: story, post, url, pair, rising_pair or other; columns of others are
-- empty. `other` rows are the stories of all runs that have the same leading edge or at least half
-- of the words; `run` says of which. `text` has words or the URL, `value` is the score or weight.
-- table: item, run, rank, w1, w2, text, count, value
-- compares: all
-- param ts TIMESTAMP: the run of the story
-- param w1 STRING: the first word of the story's leading edge
-- param w2 STRING: the second
WITH chosen AS (
  SELECT stories.* FROM stories JOIN runs USING (ts)
  WHERE stories.ts = @ts AND w1 = @w1 AND w2 = @w2
),
timelines AS (
  SELECT
    ARRAY_AGG(UNIX_MICROS(part_start) ORDER BY part_start) AS parts,
    ARRAY_AGG(story_timeline.count ORDER BY part_start) AS counts
  FROM story_timeline
  JOIN chosen ON story_timeline.story = chosen.rank
  WHERE story_timeline.ts = @ts
),
own AS (
  SELECT token AS word FROM chosen CROSS JOIN UNNEST(SPLIT(chosen.words, ' ')) AS token
),
shared AS (
  SELECT stories.ts, stories.rank, COUNT(*) AS words
  FROM stories
  CROSS JOIN UNNEST(SPLIT(stories.words, ' ')) AS token
  JOIN own ON own.word = token
  GROUP BY stories.ts, stories.rank
),
items AS (
  SELECT
    'story' AS item, ts AS run, rank, w1, w2, words AS text, posts AS count, users, recent, before,
    score AS value, p_value, pairs, first_seen, last_seen, NULL AS tid
  FROM chosen
  UNION ALL
  SELECT
    'other', stories.ts, stories.rank, stories.w1, stories.w2, stories.words, stories.posts,
    stories.users, stories.recent, stories.before, stories.score, stories.p_value, stories.pairs,
    stories.first_seen, stories.last_seen, NULL
  FROM stories
  JOIN runs ON stories.ts = runs.ts
  CROSS JOIN (SELECT COUNT(*) AS words FROM own) AS wanted
  LEFT JOIN shared ON stories.ts = shared.ts AND stories.rank = shared.rank
  WHERE wanted.words > 0 AND (
    (stories.w1 = @w1 AND stories.w2 = @w2) OR 2 * shared.words >= wanted.words
  )
  UNION ALL
  SELECT
    'post', story_posts.ts, story_posts.rank, NULL, NULL, NULL, story_posts.copies, NULL, NULL,
    NULL, NULL, NULL, NULL, NULL, NULL, story_posts.tid
  FROM story_posts
  JOIN chosen ON story_posts.story = chosen.rank
  WHERE story_posts.ts = @ts
  UNION ALL
  SELECT
    'url', story_urls.ts, story_urls.rank, NULL, NULL, story_urls.url, story_urls.count, NULL, NULL,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL
  FROM story_urls
  JOIN chosen ON story_urls.story = chosen.rank
  WHERE story_urls.ts = @ts
  UNION ALL
  SELECT
    'pair', ts, rank, w1, w2, NULL, count, NULL, NULL, NULL, log_weight, NULL, NULL, NULL, NULL,
    NULL
  FROM word_cooccur
  WHERE ts = @ts AND w1 IN (SELECT word FROM own) AND w2 IN (SELECT word FROM own)
  UNION ALL
  SELECT
    'rising_pair', ts, rank, w1, w2, NULL, recent + before, NULL, recent, before, score, p_value,
    NULL, NULL, NULL, NULL
  FROM rising_pairs
  WHERE ts = @ts AND w1 IN (SELECT word FROM own) AND w2 IN (SELECT word FROM own)
)
SELECT
  items.item,
  items.run,
  items.rank,
  items.w1,
  items.w2,
  items.text,
  items.count,
  items.users,
  items.recent,
  items.before,
  items.value,
  items.p_value,
  items.pairs,
  items.first_seen,
  items.last_seen,
  items.tid,
  timelines.parts,
  timelines.counts
FROM items
LEFT JOIN timelines ON items.item = 'story'
ORDER BY items.item, items.run DESC, items.rank
