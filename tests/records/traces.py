"""Where bytes are still found: every file of a directory, in pieces, so that half a key counts as one."""

PIECE = 16


def wrapped_key(vault, subject, retention="ear"):
    """The ciphertext of a subject's wrapped key as it is stored now."""
    row = vault._connection.execute(
        "SELECT wrapped FROM keys WHERE subject = ? AND retention = ? AND shredded = 0", (subject, retention)
    ).fetchone()
    return row[0][12:44]


def plain_key(vault, subject, retention="ear"):
    return vault._key((subject, retention))[1]


def found(directory, *secrets):
    """The names of the files that hold a piece of one of these."""
    pieces = [each[at : at + PIECE] for each in secrets for at in range(0, len(each), PIECE)]
    return sorted(
        file.name
        for file in directory.rglob("*")
        if file.is_file() and any(piece in file.read_bytes() for piece in pieces)
    )
