-- The rankings, given post_runs and the macros of a text mode.

-- A run of word characters is judged once, not at each of its occurrences.
CREATE TEMP TABLE distinct_runs AS SELECT DISTINCT run FROM post_runs;
CREATE TEMP TABLE judged_runs AS SELECT run, word_of(run) AS word FROM distinct_runs;
CREATE TEMP TABLE run_words AS
SELECT run, word, (dense_rank() OVER (ORDER BY word))::INTEGER AS word_id
FROM judged_runs WHERE is_word(word) AND word NOT IN (SELECT unnest(getvariable('stop_words')));

CREATE TEMP TABLE post_words AS
SELECT DISTINCT id, word_id, recent
FROM post_runs JOIN run_words USING (run) JOIN posts USING (id);

CREATE TEMP TABLE df AS
SELECT word_id, word, df, recent
FROM (SELECT word_id, count(*) AS df, count_if(recent) AS recent FROM post_words GROUP BY word_id)
JOIN (SELECT DISTINCT word_id, word FROM run_words) USING (word_id);

CREATE TEMP TABLE post_urls AS SELECT id, unnest(urls) AS raw FROM posts;
CREATE TEMP TABLE raw_urls AS
SELECT raw, url_of(raw) AS url FROM (SELECT DISTINCT raw FROM post_urls);
CREATE TEMP TABLE url_counts AS
SELECT url, count(DISTINCT id) AS n
FROM post_urls JOIN raw_urls USING (raw) WHERE url IS NOT NULL GROUP BY url;

CREATE TEMP TABLE pairs AS
SELECT a.word_id AS id1, b.word_id AS id2, count(*) AS n, count_if(a.recent) AS recent
FROM post_words AS a JOIN post_words AS b ON a.id = b.id AND a.word_id < b.word_id
GROUP BY ALL;

CREATE TABLE word_counts AS
SELECT row_number() OVER (ORDER BY df DESC, word) AS rank, word, df AS count,
    100 * df::DOUBLE / getvariable('n_posts') AS percent
FROM df ORDER BY rank LIMIT 500;

CREATE TABLE urls AS
SELECT row_number() OVER (ORDER BY n DESC, url) AS rank, url, n AS count
FROM url_counts ORDER BY rank LIMIT 300;

CREATE TABLE word_cooccur AS
SELECT row_number() OVER (ORDER BY log_weight DESC, w1, w2) AS rank, *
FROM (
    SELECT a.word AS w1, b.word AS w2, n AS count,
        n * ln(getvariable('n_posts')::DOUBLE / greatest(a.df, b.df)) AS log_weight
    FROM pairs JOIN df AS a ON a.word_id = id1 JOIN df AS b ON b.word_id = id2
    WHERE log_weight <> 0 ORDER BY log_weight DESC, w1, w2 LIMIT 300);

CREATE TABLE runs AS
SELECT getvariable('n_posts') AS tweets,
    (SELECT count(*) FROM window_posts) - getvariable('n_posts') AS skipped,
    (SELECT count(*) FROM df) AS words, (SELECT count(*) FROM url_counts) AS urls;
