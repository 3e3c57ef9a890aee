-- One word, or one pair of words, for its page: its ranks in all runs, and what one run says of it.
-- `item` says what a row is: ranked, story, pair, rising_word or rising_pair; columns of others are
-- empty. There is a `ranked` row for each run that has ranked it, which `run` names; the others are
-- of the run `ts`, and the `pair` rows have any of the words. `value` is the percent, weight or score, `text` has the words of a story.
-- table: item, run, rank, w1, w2, text, count, value
-- compares: all
-- param ts TIMESTAMP: the run
-- param w1 STRING: a word, as stored in the tables
-- param w2 STRING = NULL: the other word of a pair, in any order
WITH wanted AS (
  SELECT
    COALESCE(LEAST(@w1, @w2), @w1) AS w1,
    GREATEST(@w1, @w2) AS w2
),
timelines AS (
  SELECT
    story,
    ARRAY_AGG(UNIX_MICROS(part_start) ORDER BY part_start) AS parts,
    ARRAY_AGG(count ORDER BY part_start) AS counts
  FROM story_timeline
  WHERE ts = @ts
  GROUP BY story
),
items AS (
  SELECT
    'ranked' AS item, runs.ts AS run, rank, word AS w1, CAST(NULL AS STRING) AS w2,
    CAST(NULL AS STRING) AS text, count, NULL AS users, NULL AS recent, NULL AS before,
    percent AS value, CAST(NULL AS FLOAT64) AS p_value, CAST(NULL AS TIMESTAMP) AS first_seen,
    CAST(NULL AS TIMESTAMP) AS last_seen
  FROM word_counts
  JOIN runs ON word_counts.ts = runs.ts
  WHERE word = @w1 AND @w2 IS NULL
  UNION ALL
  SELECT
    'ranked', runs.ts, rank, word_cooccur.w1, word_cooccur.w2, NULL, count, NULL, NULL, NULL,
    log_weight, NULL, NULL, NULL
  FROM word_cooccur
  JOIN runs ON word_cooccur.ts = runs.ts
  JOIN wanted ON word_cooccur.w1 = wanted.w1 AND word_cooccur.w2 = wanted.w2
  UNION ALL
  SELECT
    'story', ts, rank, stories.w1, stories.w2, words, posts, users, recent, before, score, p_value,
    first_seen, last_seen
  FROM stories
  CROSS JOIN wanted
  WHERE ts = @ts
    AND STRPOS(CONCAT(' ', words, ' '), CONCAT(' ', wanted.w1, ' ')) > 0
    AND STRPOS(CONCAT(' ', words, ' '), CONCAT(' ', COALESCE(wanted.w2, wanted.w1), ' ')) > 0
  UNION ALL
  SELECT
    'pair', ts, rank, word_cooccur.w1, word_cooccur.w2, NULL, count, NULL, NULL, NULL, log_weight,
    NULL, NULL, NULL
  FROM word_cooccur
  WHERE ts = @ts
    AND (@w1 IN (word_cooccur.w1, word_cooccur.w2) OR @w2 IN (word_cooccur.w1, word_cooccur.w2))
  UNION ALL
  SELECT
    'rising_word', ts, rank, word, NULL, NULL, recent + before, NULL, recent, before, score,
    p_value, NULL, NULL
  FROM rising_words
  WHERE ts = @ts AND @w2 IS NULL AND word = @w1
  UNION ALL
  SELECT
    'rising_pair', ts, rank, rising_pairs.w1, rising_pairs.w2, NULL, recent + before, NULL, recent,
    before, score, p_value, NULL, NULL
  FROM rising_pairs
  CROSS JOIN wanted
  WHERE ts = @ts AND @w1 IN (rising_pairs.w1, rising_pairs.w2)
    AND (@w2 IS NULL OR @w2 IN (rising_pairs.w1, rising_pairs.w2))
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
