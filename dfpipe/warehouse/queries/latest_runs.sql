-- The runs, newest first.
-- A table leaves out what json and csv have besides: counts, the window and the options of the run.
-- table: ts, tweets, recent, text_mode, languages, stop_words, settings, seconds
SELECT
  ts, window_start, window_end, tweets, skipped, words, urls, text_mode, runner, version, seconds,
  languages, stop_words, top_words, top_urls, top_pairs, recent_start,
  recent, settings, posts_read, posts_cached
FROM runs
ORDER BY ts DESC
