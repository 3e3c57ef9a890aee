-- The stories, given the group of each edge (edge_groups) and of each set of them (set_groups).
CREATE TEMP TABLE of_group AS
SELECT id, story_group, tid, "user", created_at, recent
FROM post_edges JOIN set_groups USING (edges) JOIN posts USING (id);
CREATE TEMP TABLE kept AS
SELECT story_group FROM of_group GROUP BY story_group
HAVING count(*) >= 3 AND count(DISTINCT "user") >= 2;

CREATE TEMP TABLE names AS
SELECT story_group, string_agg(word, ' ' ORDER BY n DESC, word) AS words
FROM (
    SELECT story_group, word, count(*) AS n
    FROM (
        SELECT DISTINCT story_group, unnest([id1, id2]) AS word_id
        FROM edge_groups JOIN edges USING (edge))
    JOIN of_group USING (story_group) JOIN post_words USING (id, word_id) JOIN df USING (word_id)
    GROUP BY story_group, word
    QUALIFY row_number() OVER (PARTITION BY story_group ORDER BY n DESC, word) <= 8)
GROUP BY story_group;

CREATE TEMP TABLE ranked AS
SELECT row_number() OVER (ORDER BY posts DESC, words, w1, w2) AS rank, *,
    score_of(recent, posts) AS score
FROM (
    SELECT story_group, count(*) AS posts, count(DISTINCT "user") AS users,
        count_if(recent) AS recent, min(created_at) AS first_seen, max(created_at) AS last_seen
    FROM of_group SEMI JOIN kept USING (story_group) GROUP BY story_group)
JOIN names USING (story_group)
JOIN (
    SELECT story_group, count(*) AS pairs, arg_min(w1, edge) AS w1, arg_min(w2, edge) AS w2
    FROM edge_groups JOIN edges USING (edge) GROUP BY story_group) USING (story_group)
ORDER BY rank LIMIT 50;

CREATE TABLE stories AS
SELECT rank, w1, w2, words, posts, users, recent, posts - recent AS before, score,
    chance(score, (SELECT count(*) FROM kept)) AS p_value, pairs, first_seen, last_seen
FROM ranked;

CREATE TEMP TABLE told AS
SELECT id, rank AS story, tid, of_group.created_at
FROM of_group JOIN ranked USING (story_group);

CREATE TABLE story_posts AS
SELECT story, row_number() OVER (PARTITION BY story ORDER BY copies DESC, first, tid) AS rank,
    tid, copies
FROM (
    SELECT story, count(*) AS copies, min(created_at) AS first,
        arg_min(tid, {time: created_at, tid: tid}) AS tid
    FROM told JOIN (
        SELECT id, list(word_id ORDER BY word_id) AS words
        FROM post_words SEMI JOIN told USING (id) GROUP BY id) USING (id)
    GROUP BY story, words)
QUALIFY rank <= 5;

CREATE TABLE story_urls AS
SELECT story, row_number() OVER (PARTITION BY story ORDER BY count DESC, url) AS rank, url, count
FROM (
    SELECT story, url, count(DISTINCT id) AS count
    FROM told JOIN post_urls USING (id) JOIN raw_urls USING (raw)
    WHERE url IS NOT NULL GROUP BY story, url)
QUALIFY rank <= 5;

CREATE TEMP MACRO start_of_part(time) AS getvariable('window_start') + to_microseconds(
    96 * (epoch_us(time) - epoch_us(getvariable('window_start'))) // getvariable('length')
    * getvariable('length') // 96);
CREATE TABLE story_timeline AS
SELECT story, start_of_part(created_at) AS part_start, count(*) AS count FROM told GROUP BY ALL;
CREATE TABLE timeline AS
SELECT start_of_part(created_at) AS part_start, count(*) AS count FROM posts GROUP BY ALL;
