-- The posts of the window; skipped are those without a text.
CREATE TEMP TABLE window_posts AS
SELECT (row_number() OVER ())::INTEGER AS id, text, urls
FROM read_json(getvariable('posts_file'), format = 'newline_delimited',
    columns = {text: 'VARCHAR', created_at: 'TIMESTAMPTZ', urls: 'VARCHAR[]'})
WHERE created_at >= getvariable('window_start') AND created_at < getvariable('window_end');

CREATE TEMP VIEW posts AS SELECT * FROM window_posts WHERE text IS NOT NULL;
SET VARIABLE n_posts = (SELECT count(*) FROM posts);
