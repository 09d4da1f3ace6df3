"""The tables of a user study; their rules make a second vote on one question impossible."""

from zeroconv.database import Schema

__all__ = ["STUDY"]

STUDY = Schema(
    name="user study",
    short="study",
    application=0x7A637374,  # "zcst"
    version=1,
    tables="""
CREATE TABLE study (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    kind TEXT NOT NULL CHECK (kind IN ('ranking', 'discrimination')),
    title TEXT NOT NULL,
    created TEXT NOT NULL
);
CREATE TABLE method (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);
-- pixels and nothing else, under names that say nothing
CREATE TABLE picture (
    id TEXT PRIMARY KEY,
    png BLOB NOT NULL
);
CREATE TABLE item (
    id INTEGER PRIMARY KEY,
    stem TEXT NOT NULL UNIQUE,
    prompt TEXT,
    map TEXT REFERENCES picture,
    is_teaching INTEGER NOT NULL CHECK (is_teaching IN (0, 1))
);
CREATE TABLE result (
    item INTEGER NOT NULL REFERENCES item,
    method INTEGER NOT NULL REFERENCES method,
    picture TEXT NOT NULL UNIQUE REFERENCES picture,
    PRIMARY KEY (item, method)
);
CREATE TABLE rater (
    id INTEGER PRIMARY KEY,
    token TEXT NOT NULL UNIQUE,
    begun TEXT
);
-- which method is "model A" to a rater, and which "model B"
CREATE TABLE label (
    rater INTEGER NOT NULL REFERENCES rater,
    place INTEGER NOT NULL,
    method INTEGER NOT NULL REFERENCES method,
    PRIMARY KEY (rater, place),
    UNIQUE (rater, method)
);
CREATE TABLE question (
    id INTEGER PRIMARY KEY,
    rater INTEGER NOT NULL REFERENCES rater,
    place INTEGER NOT NULL,
    item INTEGER NOT NULL REFERENCES item,
    aspect TEXT NOT NULL CHECK (aspect IN ('quality', 'fidelity', 'model')),
    UNIQUE (rater, place),
    UNIQUE (rater, item, aspect)
);
-- the methods whose pictures are seen, in the order in which they are seen
CREATE TABLE shown (
    question INTEGER NOT NULL REFERENCES question,
    place INTEGER NOT NULL,
    method INTEGER NOT NULL REFERENCES method,
    PRIMARY KEY (question, place),
    UNIQUE (question, method)
);
CREATE TABLE vote (
    question INTEGER PRIMARY KEY REFERENCES question,
    at TEXT NOT NULL
);
-- the rank of each method, the highest best; of "which model made this", the model that was named, with rank 1
CREATE TABLE answer (
    question INTEGER NOT NULL REFERENCES vote,
    method INTEGER NOT NULL REFERENCES method,
    rank INTEGER NOT NULL CHECK (rank >= 1),
    PRIMARY KEY (question, method),
    UNIQUE (question, rank)
);
""",
)
