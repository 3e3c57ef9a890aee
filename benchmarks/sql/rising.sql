-- What rises, and which sets of edges posts have. erfc() is Python's: DuckDB has none.
CREATE TEMP MACRO term(observed, expected) AS
    if(observed = 0, 0, observed * ln(observed * getvariable('n_posts') / expected));
CREATE TEMP MACRO ratio(a, b, r) AS 2 * (
    term(a, getvariable('n_recent') * r) + term(b, getvariable('n_before') * r)
    + term(getvariable('n_recent') - a, getvariable('n_recent') * (getvariable('n_posts') - r))
    + term(getvariable('n_before') - b, getvariable('n_before') * (getvariable('n_posts') - r)));
CREATE TEMP MACRO rise(a, b) AS a * getvariable('n_before') - b * getvariable('n_recent');
CREATE TEMP MACRO score_of(a, r) AS
    sign(rise(a, r - a)) * greatest(ratio(a, r - a, r), 0.0);
CREATE TEMP MACRO chance(score, tests) AS
    if(score > 0, least(1.0, tests * erfc(sqrt(score / 2)) / 2), 1.0);

CREATE TABLE rising_words AS
SELECT *, chance(score, (SELECT count(*) FROM df)) AS p_value
FROM (
    SELECT row_number() OVER (ORDER BY score DESC, word) AS rank, word, recent,
        df - recent AS before, 100 * recent / getvariable('n_recent') AS percent_recent,
        100 * (df - recent) / getvariable('n_before') AS percent_before, score
    FROM (SELECT *, score_of(recent, df) AS score FROM df)
    WHERE score > 0 ORDER BY rank LIMIT 100)
WHERE p_value < 0.01;

CREATE TEMP TABLE scored_pairs AS
SELECT id1, id2, a.word AS w1, b.word AS w2, n, pairs.recent, score_of(pairs.recent, n) AS score,
    n * ln(getvariable('n_posts')::DOUBLE / greatest(a.df, b.df)) AS log_weight
FROM pairs JOIN df AS a ON a.word_id = id1 JOIN df AS b ON b.word_id = id2;

CREATE TABLE rising_pairs AS
SELECT *, chance(score, (SELECT count(*) * (count(*) - 1) // 2 FROM df)) AS p_value
FROM (
    SELECT row_number() OVER (ORDER BY score DESC, w1, w2) AS rank, w1, w2, recent,
        n - recent AS before, score
    FROM scored_pairs WHERE score > 0 ORDER BY rank LIMIT 300)
WHERE p_value < 0.01;

CREATE TEMP TABLE edges AS
SELECT row_number() OVER (ORDER BY log_weight DESC, w1, w2) - 1 AS edge, w1, w2, id1, id2
FROM scored_pairs
WHERE (w1, w2) IN (SELECT (w1, w2) FROM word_cooccur UNION ALL SELECT (w1, w2) FROM rising_pairs);

CREATE TEMP TABLE post_edges AS
SELECT a.id, list(edge ORDER BY edge) AS edges
FROM edges JOIN post_words AS a ON a.word_id = id1
JOIN post_words AS b ON b.id = a.id AND b.word_id = id2 GROUP BY a.id;
