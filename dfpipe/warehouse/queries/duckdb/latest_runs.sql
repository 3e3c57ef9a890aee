SELECT
  ts,
  window_start,
  window_end,
  tweets,
  skipped,
  words,
  urls,
  text_mode,
  runner,
  version,
  seconds
FROM runs
ORDER BY
  ts DESC
