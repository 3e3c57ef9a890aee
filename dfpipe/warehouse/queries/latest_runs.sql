-- The runs, newest first.
SELECT
  ts, window_start, window_end, tweets, skipped, words, urls, text_mode, runner, version, seconds,
  languages, stop_words, top_words, top_urls, top_pairs, recent_start,
  recent, settings, posts_read, posts_cached
FROM runs
ORDER BY ts DESC
