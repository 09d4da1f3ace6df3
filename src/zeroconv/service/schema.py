"""The tables of a service: jobs as they were asked for and ended, the gallery of what they made, and who does them."""

from zeroconv.database import Schema

__all__ = ["SERVICE"]

SERVICE = Schema(
    name="service's state",
    short="service",
    application=0x7A637376,  # "zcsv"
    version=2,
    tables="""
CREATE TABLE job (
    number INTEGER PRIMARY KEY,  -- in the order of their arrival
    id TEXT NOT NULL UNIQUE,
    client TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
    created REAL NOT NULL,
    ended REAL,
    attempts INTEGER NOT NULL DEFAULT 0,
    request TEXT NOT NULL,
    results TEXT NOT NULL DEFAULT '[]',
    messages TEXT NOT NULL DEFAULT '[]',
    error TEXT,
    host TEXT NOT NULL DEFAULT ''  -- the service that does it
);
CREATE INDEX job_state ON job (state);
CREATE TABLE gallery (
    number INTEGER PRIMARY KEY,  -- the newest is the largest, and the cursor of a page
    id TEXT NOT NULL UNIQUE,  -- of the picture
    created REAL NOT NULL,
    prompt TEXT NOT NULL,
    seed TEXT NOT NULL,  -- up to 64 bits without a sign
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    request TEXT NOT NULL,
    controls TEXT NOT NULL
);
CREATE TABLE host (
    id TEXT PRIMARY KEY,
    seen REAL NOT NULL  -- by the clock of the database
);
""",
    upgrades={
        1: """
ALTER TABLE job ADD COLUMN host TEXT NOT NULL DEFAULT '';
CREATE TABLE host (id TEXT PRIMARY KEY, seen REAL NOT NULL)
"""
    },
)
