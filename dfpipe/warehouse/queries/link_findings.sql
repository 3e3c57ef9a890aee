-- One link for its page: its ranks in all runs, the stories of one run that have it, and what is near.
-- `item` says what a row is: ranked, story, url or word; columns of others are empty. There is a
-- `ranked` row for each run that has ranked it, which `run` names; the others are of the run `ts`:
-- the stories that have it, and all ranked URLs and words. `text` is the URL, or the words of a
-- story; `w1` is the word of a word, and `value` its percent or the score of a story.
-- table: item, run, rank, w1, w2, text, count, value
-- compares: all
-- param ts TIMESTAMP: the run
-- param url STRING: a URL, as stored in the tables
WITH timelines AS (
  SELECT
    story,
    ARRAY_AGG(UNIX_MICROS(part_start) ORDER BY part_start) AS parts,
    ARRAY_AGG(count ORDER BY part_start) AS counts
  FROM story_timeline
  WHERE ts = @ts
  GROUP BY story
),
carrying AS (
  SELECT DISTINCT story FROM story_urls WHERE ts = @ts AND url = @url
),
items AS (
  SELECT
    'ranked' AS item, runs.ts AS run, rank, CAST(NULL AS STRING) AS w1, CAST(NULL AS STRING) AS w2,
    url AS text, count, NULL AS users, NULL AS recent, NULL AS before,
    CAST(NULL AS FLOAT64) AS value, CAST(NULL AS FLOAT64) AS p_value,
    CAST(NULL AS TIMESTAMP) AS first_seen, CAST(NULL AS TIMESTAMP) AS last_seen
  FROM urls
  JOIN runs ON urls.ts = runs.ts
  WHERE url = @url
  UNION ALL
  SELECT
    'story', ts, rank, w1, w2, words, posts, users, recent, before, score, p_value, first_seen,
    last_seen
  FROM stories
  JOIN carrying ON stories.rank = carrying.story
  WHERE ts = @ts
  UNION ALL
  SELECT 'url', ts, rank, NULL, NULL, url, count, NULL, NULL, NULL, NULL, NULL, NULL, NULL
  FROM urls
  WHERE ts = @ts
  UNION ALL
  SELECT 'word', ts, rank, word, NULL, NULL, count, NULL, NULL, NULL, percent, NULL, NULL, NULL
  FROM word_counts
  WHERE ts = @ts
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
  items.first_seen,
  items.last_seen,
  timelines.parts,
  timelines.counts
FROM items
LEFT JOIN timelines ON items.item = 'story' AND items.rank = timelines.story
WHERE items.item = 'ranked' OR EXISTS (SELECT 1 FROM runs WHERE ts = @ts)
ORDER BY items.item, items.run DESC, items.rank
