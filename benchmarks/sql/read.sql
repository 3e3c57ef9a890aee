-- The posts of the window; skipped are those without a text.
CREATE TEMP TABLE window_posts AS
SELECT (row_number() OVER ())::INTEGER AS id, tid, "user", created_at, text, urls,
    created_at >= getvariable('recent_start') AS recent
FROM read_json(getvariable('posts_file'), format = 'newline_delimited', columns = {
    tid: 'BIGINT', user: 'VARCHAR', created_at: 'TIMESTAMPTZ', text: 'VARCHAR', urls: 'VARCHAR[]'})
WHERE created_at >= getvariable('window_start') AND created_at < getvariable('window_end');

CREATE TEMP VIEW posts AS SELECT * FROM window_posts WHERE text IS NOT NULL;
SET VARIABLE n_posts = (SELECT count(*) FROM posts);
SET VARIABLE n_recent = (SELECT count(*) FROM posts WHERE recent);
SET VARIABLE n_before = getvariable('n_posts') - getvariable('n_recent');
