WITH timelines AS (
  SELECT
    0 AS story,
    ARRAY_AGG(EPOCH_US(part_start) ORDER BY part_start NULLS FIRST) AS parts,
    ARRAY_AGG(count ORDER BY part_start NULLS FIRST) AS counts
  FROM timeline
  WHERE
    ts = $ts
  UNION ALL
  SELECT
    story,
    ARRAY_AGG(EPOCH_US(part_start) ORDER BY part_start NULLS FIRST),
    ARRAY_AGG(count ORDER BY part_start NULLS FIRST)
  FROM story_timeline
  WHERE
    ts = $ts
  GROUP BY
    story
), links AS (
  SELECT
    story,
    url
  FROM story_urls
  WHERE
    ts = $ts AND rank = 1
), examples AS (
  SELECT
    story,
    tid
  FROM story_posts
  WHERE
    ts = $ts AND rank = 1
), items AS (
  SELECT
    'story' AS item,
    rank,
    w1,
    w2,
    words AS text,
    posts AS count,
    users,
    recent,
    before,
    score AS value,
    p_value,
    first_seen,
    last_seen
  FROM stories
  WHERE
    ts = $ts
  UNION ALL
  SELECT
    'earlier',
    rank,
    w1,
    w2,
    words,
    posts,
    users,
    recent,
    before,
    score,
    p_value,
    first_seen,
    last_seen
  FROM stories
  WHERE
    ts = $compared
    AND EXISTS(
      SELECT
        1
      FROM runs
      WHERE
        ts = $compared
    )
  UNION ALL
  SELECT
    'run',
    0,
    NULL,
    NULL,
    NULL,
    tweets,
    NULL,
    recent,
    NULL,
    NULL,
    NULL,
    window_start,
    window_end
  FROM runs
  WHERE
    ts = $ts
  UNION ALL
  SELECT
    'word',
    rank,
    word,
    NULL,
    NULL,
    count,
    NULL,
    NULL,
    NULL,
    percent,
    NULL,
    NULL,
    NULL
  FROM word_counts
  WHERE
    ts = $ts
  UNION ALL
  SELECT
    'rising_word',
    rank,
    word,
    NULL,
    NULL,
    recent + before,
    NULL,
    recent,
    before,
    score,
    p_value,
    NULL,
    NULL
  FROM rising_words
  WHERE
    ts = $ts
  UNION ALL
  SELECT
    'pair',
    rank,
    w1,
    w2,
    NULL,
    count,
    NULL,
    NULL,
    NULL,
    log_weight,
    NULL,
    NULL,
    NULL
  FROM word_cooccur
  WHERE
    ts = $ts
  UNION ALL
  SELECT
    'rising_pair',
    rank,
    w1,
    w2,
    NULL,
    recent + before,
    NULL,
    recent,
    before,
    score,
    p_value,
    NULL,
    NULL
  FROM rising_pairs
  WHERE
    ts = $ts
  UNION ALL
  SELECT
    'url',
    rank,
    NULL,
    NULL,
    url,
    count,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL
  FROM urls
  WHERE
    ts = $ts
)
SELECT
  items.item,
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
  links.url,
  examples.tid,
  timelines.parts,
  timelines.counts
FROM items
LEFT JOIN timelines
  ON items.item IN ('run', 'story') AND items.rank = timelines.story
LEFT JOIN links
  ON items.item = 'story' AND items.rank = links.story
LEFT JOIN examples
  ON items.item = 'story' AND items.rank = examples.story
WHERE
  EXISTS(
    SELECT
      1
    FROM runs
    WHERE
      ts = $ts
  )
ORDER BY
  items.item NULLS FIRST,
  items.rank NULLS FIRST
