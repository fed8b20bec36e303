"""The schema of the database, as a list of migrations. A released migration never changes."""

from typing import Final

_FIRST: Final = (
    "CREATE TABLE setting (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    """
    CREATE TABLE model (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        owner TEXT NOT NULL,
        name TEXT NOT NULL,
        description TEXT,
        visibility TEXT NOT NULL,
        hardware TEXT NOT NULL,
        github_url TEXT,
        paper_url TEXT,
        license_url TEXT,
        weights_url TEXT,
        cover_image_url TEXT,
        readme TEXT,
        collections TEXT NOT NULL DEFAULT '[]',
        run_count INTEGER NOT NULL DEFAULT 0,
        latest TEXT,
        created_at TEXT NOT NULL,
        UNIQUE (owner, name)
    )
    """,
    """
    CREATE TABLE version (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        model TEXT NOT NULL,
        created_at TEXT NOT NULL,
        schema TEXT NOT NULL,
        code TEXT NOT NULL,
        weights TEXT,
        base TEXT
    )
    """,
    "CREATE INDEX version_of ON version (model, seq)",
    """
    CREATE TABLE job (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        kind TEXT NOT NULL,
        example INTEGER NOT NULL DEFAULT 0,
        model TEXT NOT NULL,
        version TEXT NOT NULL,
        deployment TEXT,
        destination TEXT,
        status TEXT NOT NULL,
        input TEXT NOT NULL,
        output TEXT,
        error TEXT,
        logs TEXT NOT NULL DEFAULT '',
        source TEXT NOT NULL DEFAULT 'api',
        webhook TEXT,
        webhook_events TEXT,
        created_at TEXT NOT NULL,
        started_at TEXT,
        completed_at TEXT,
        deadline TEXT,
        data_removed INTEGER NOT NULL DEFAULT 0
    )
    """,
    "CREATE INDEX job_listing ON job (kind, example, seq)",
    "CREATE INDEX job_unfinished ON job (seq) WHERE completed_at IS NULL",
    "CREATE INDEX job_of ON job (version)",
    """
    CREATE TABLE file (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL,
        content_type TEXT NOT NULL,
        size INTEGER NOT NULL,
        sha256 TEXT NOT NULL,
        metadata TEXT NOT NULL DEFAULT '{}',
        job TEXT,
        created_at TEXT NOT NULL,
        expires_at TEXT NOT NULL
    )
    """,
    "CREATE INDEX file_expiry ON file (expires_at)",
    "CREATE INDEX file_of ON file (job) WHERE job IS NOT NULL",
    """
    CREATE TABLE deployment (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        created_at TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE release (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        deployment INTEGER NOT NULL REFERENCES deployment (seq) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        model TEXT NOT NULL,
        version TEXT NOT NULL,
        hardware TEXT NOT NULL,
        min_instances INTEGER NOT NULL,
        max_instances INTEGER NOT NULL,
        released_at TEXT NOT NULL,
        UNIQUE (deployment, number)
    )
    """,
    """
    CREATE TABLE delivery (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        job TEXT NOT NULL,
        event TEXT NOT NULL,
        url TEXT NOT NULL,
        body TEXT NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0
    )
    """,
    "CREATE INDEX delivery_of ON delivery (job, seq)",
)

# The address at which the job was created. The URLs in its webhooks start with it.
_ADDRESS: Final = ("ALTER TABLE job ADD COLUMN address TEXT",)

# When the job left the queue. Until it starts, its worker loads the model.
_ACQUIRED: Final = ("ALTER TABLE job ADD COLUMN acquired_at TEXT",)

MIGRATIONS: Final = (_FIRST, _ADDRESS, _ACQUIRED)
