namespace IommuFd.Silo.Journals;

// The tables of PostgresSchema, except for runs and the tail (SqliteTail). Snapshots have their own table: SQLite rewrites a whole row when a
// column changes, and a new epoch must not cost a snapshot. Records are clustered by context, in order, so that a replay reads one range; a
// row holds the records that were sorted into it together.

/// <summary>The tables of a SQLite store, as migration steps from an empty file to this version.</summary>
internal static class SqliteSchema
{
    /// <summary>The table that holds the schema's version.</summary>
    public const string CreateVersions = "CREATE TABLE IF NOT EXISTS journal_schema (version INTEGER NOT NULL)";

    /// <summary>The position of the last record in a row of journal_runs.</summary>
    public const string LastPosition = "position + (ifnull(length(lengths), 4) / 4 - 1)";

    /// <summary>Step i migrates version i to i + 1. A released step never changes.</summary>
    public static readonly string[] Migrations =
    [
        """
        CREATE TABLE journal_contexts (
            handle BLOB NOT NULL PRIMARY KEY,
            epoch INTEGER NOT NULL,
            owner TEXT NOT NULL,
            snapshot_position INTEGER NOT NULL,
            released BLOB,
            released_at INTEGER -- milliseconds since 1970
        ) WITHOUT ROWID;
        CREATE INDEX journal_contexts_released ON journal_contexts (released_at) WHERE released_at IS NOT NULL;
        CREATE TABLE journal_snapshots (
            handle BLOB NOT NULL PRIMARY KEY,
            frame BLOB NOT NULL
        );
        CREATE TABLE journal_records (
            handle BLOB NOT NULL,
            position INTEGER NOT NULL,
            frame BLOB NOT NULL,
            PRIMARY KEY (handle, position)
        ) WITHOUT ROWID;
        """,
        """
        -- Renamed, so that silos of the first version that still run fail instead of reading a journal without its tail.
        ALTER TABLE journal_records RENAME TO journal_runs;
        ALTER TABLE journal_runs ADD COLUMN lengths BLOB; -- of each record's frame, 4 bytes little-endian; null where there is one record
        CREATE TABLE journal_tail (
            number INTEGER NOT NULL PRIMARY KEY, -- the order of commits
            places BLOB NOT NULL,
            frames BLOB NOT NULL
        );
        """,
        """
        -- Renamed, so that silos of earlier versions that still run fail instead of looking for handles. Then SqliteMigration replaces each handle by its key.
        ALTER TABLE journal_contexts RENAME COLUMN handle TO key;
        ALTER TABLE journal_snapshots RENAME COLUMN handle TO key;
        ALTER TABLE journal_runs RENAME COLUMN handle TO key;
        """,
    ];

    /// <summary>The first version whose keys are not handles.</summary>
    public const int KeyedVersion = 3;
}
