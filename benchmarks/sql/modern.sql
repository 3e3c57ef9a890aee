-- The modern text mode. DuckDB has neither HTML entities nor NFKC: unescape() and fold(), which is
-- NFKC and lower case, are Python's, called only for the posts in which they can change something.
CREATE TEMP MACRO is_ascii(text) AS strlen(text) = length(text);

-- White space is spelled out, as RE2's \s is ASCII alone.
CREATE TEMP TABLE linkless AS
SELECT id, regexp_replace(
    CASE WHEN contains(text, '&') THEN unescape(text) ELSE text END,
    '(?i)https?://(?:t\.co/(?-i:[A-Za-z0-9]+)|[^\s\x0b\x1c-\x1f\x85\pZ]*)', ' ', 'g') AS text
FROM posts;

-- RE2 cannot look behind: the character before the @ is matched and put back.
CREATE TEMP TABLE mentionless AS
SELECT id, regexp_replace(text, '(^|\W)[@＠]\w+(?:[.@-]\w+)*', '\1 ', 'g') AS text FROM linkless;

-- A variation selector or a keycap mark is a mark, and would be a part of its word.
CREATE TEMP TABLE folded AS
SELECT id, CASE
    WHEN is_ascii(text) THEN lower(text)
    ELSE translate(
        regexp_replace(fold(regexp_replace(text, '(\pM{30})\pM+', '\1', 'g')), '[\x{fe00}-\x{fe0f}\x{20e3}]', ' ', 'g'), '’ʼ', '''''')
    END AS text
FROM mentionless;

CREATE TEMP TABLE tokenized AS
SELECT id, regexp_extract_all(text, '[\pL\pN''][\pL\pM\pN''\x{200c}\x{200d}]*') AS runs FROM folded;

CREATE TEMP TABLE post_runs AS
SELECT id, unnest(list_distinct(runs)) AS run FROM tokenized;

CREATE TEMP MACRO word_of(run) AS
    rtrim(regexp_replace(trim(rtrim(run, chr(8204) || chr(8205)), ''''), '''s$', ''), '''');
CREATE TEMP MACRO is_word(word) AS length(word) > 1 AND regexp_matches(word, '\pL');

CREATE TEMP MACRO tracks(name) AS
    starts_with(name, 'utm_') OR name IN ('fbclid', 'gclid', 'dclid', 'mc_cid', 'mc_eid',
    'igshid', 'ref_src', 'ref_url');
CREATE TEMP MACRO kept(query) AS array_to_string(list_filter(
    string_split(query[2:], '&'),
    lambda part: part <> '' AND NOT tracks(lower(split_part(part, '=', 1)))), '&');
CREATE TEMP MACRO join_url(scheme, host, port, path, query) AS CASE
    WHEN host = '' THEN NULL
    ELSE scheme || '://' || lower(host)
        || if(port IN ('', if(scheme = 'http', '80', '443')), '', ':' || port)
        || if(path = '', '/', path) || if(query = '', '', '?' || query) END;
CREATE TEMP MACRO join_parts(url) AS
    join_url(lower(url.scheme), url.host, url.port, url.path, kept(url.query));
CREATE TEMP MACRO url_of(url) AS join_parts(regexp_extract(url,
    '^([hH][tT]{2}[pP][sS]?)://(?:[^/?#]*@)?(\[[^/?#\]]*\]|[^/?#:]*)(?::([0-9]*))?'
    '(/[^?#]*)?(\?[^#]*)?(?:#.*)?$',
    ['scheme', 'host', 'port', 'path', 'query']));
