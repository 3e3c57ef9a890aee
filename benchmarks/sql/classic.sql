-- The classic text mode, in which everything is plain SQL.
CREATE TEMP MACRO word_of(run) AS lower(run);
CREATE TEMP MACRO is_word(word) AS NOT regexp_matches(word, '^[a-z]$');
CREATE TEMP MACRO url_of(url) AS lower(url);

CREATE TEMP TABLE post_runs AS
SELECT id, unnest(list_distinct(regexp_extract_all(text, '[A-Za-z'']+'))) AS run FROM posts;
