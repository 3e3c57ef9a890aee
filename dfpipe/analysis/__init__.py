"""Words, links, rankings and pairs of posts, over plain values and arrays: no Beam, no I/O."""
