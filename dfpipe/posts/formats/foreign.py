"""Files that are no archives of posts: what they are, and what to do with them."""

from pathlib import PurePosixPath

MEDIA, HIDDEN, EMPTY, OTHER = "media files", "hidden files", "empty files", "other files"

_MEDIA = frozenset(
    ".aac .avif .bmp .gif .heic .ico .jpe .jpeg .jpg .m3u8 .m4a .m4s .m4v .mkv .mov .mp3 .mp4 "
    ".mpeg .mpg .oga .ogg .ogv .opus .png .svg .tif .tiff .ts .ttf .wav .webm .webp .woff "
    ".woff2".split()
)
_UNPACK = "unpack it, and name what it holds"
_NAME = "name a file with posts"
# How files begin, what they seem to be, and what to do.
_KINDS = (
    (b"\xff\xd8\xff", "a picture", _NAME),
    (b"\x89PNG", "a picture", _NAME),
    (b"GIF8", "a picture", _NAME),
    (b"RIFF", "a picture, sound or video", _NAME),
    (b"ID3", "sound", _NAME),
    (b"OggS", "sound or video", _NAME),
    (b"\x1a\x45\xdf\xa3", "a video", _NAME),
    (b"%PDF", "a PDF document", "name a file with the posts as data"),
    (b"SQLite format 3\0", "an SQLite database", "export its posts as JSON lines"),
    (b"\xd0\xcf\x11\xe0", "an Office document", "save its table as CSV in UTF-8"),
    (b"Rar!", "a RAR archive", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (b"\xff\xfe", "text in UTF-16", "convert it with `iconv -f UTF-16 -t UTF-8`"),
    (b"\xfe\xff", "text in UTF-16", "convert it with `iconv -f UTF-16 -t UTF-8`"),
    (b"<", "a web page or XML", "name a file with the posts as data"),
)
_VIDEO = b"ftyp"  # from the fifth byte of an MP4 on


def unread_kind(name: str) -> str | None:
    """Return the kind of a member that need not be opened, told by its name; None for others.

    >>> unread_kind("data/tweets_media/7-x.jpg"), unread_kind("__MACOSX/data"), unread_kind("a.js")
    ('media files', 'hidden files', None)
    """
    path = PurePosixPath(name)
    if any((part.startswith(".") and part != "..") or part == "__MACOSX" for part in path.parts):
        return HIDDEN
    return MEDIA if path.suffix.lower() in _MEDIA else None


def seems(head: bytes) -> tuple[str, str] | None:
    """Return what a file seems to be that begins so, and what to do; None for text.

    >>> seems(b"%PDF-1.7")
    ('a PDF document', 'name a file with the posts as data')
    """
    if head[4:8] == _VIDEO:
        return "a video", _NAME
    begun = head.lstrip()
    for begin, kind, advice in _KINDS:
        if begun.startswith(begin):
            return kind, advice
    is_binary = b"\0" in head and not begun.startswith((b"{", b"["))  # a damaged log may be JSON
    return ("binary data", _NAME) if is_binary else None
