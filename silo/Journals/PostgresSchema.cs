namespace IommuFd.Silo.Journals;

/// <summary>The tables of a PostgreSQL store, as migration steps from an empty database to this version.</summary>
internal static class PostgresSchema
{
    /// <summary>The table that holds the schema's version.</summary>
    public const string CreateVersions = "CREATE TABLE IF NOT EXISTS journal_schema (version integer NOT NULL)";

    /// <summary>Step i migrates version i to i + 1. A released step never changes.</summary>
    public static readonly string[] Migrations =
    [
        // A context's row changes with each epoch and snapshot; with room on its page, an update leaves the indexes alone.
        """
        CREATE TABLE journal_contexts (
            handle uuid NOT NULL PRIMARY KEY,
            epoch bigint NOT NULL,
            owner text NOT NULL,
            snapshot_position bigint NOT NULL,
            released bytea,
            released_at timestamptz
        ) WITH (fillfactor = 80);
        CREATE INDEX journal_contexts_released ON journal_contexts (released_at) WHERE released_at IS NOT NULL;
        CREATE TABLE journal_snapshots (
            handle uuid NOT NULL PRIMARY KEY,
            frame bytea NOT NULL
        );
        CREATE TABLE journal_records (
            handle uuid NOT NULL,
            position bigint NOT NULL,
            frame bytea NOT NULL,
            PRIMARY KEY (handle, position)
        );
        """,

        // Renamed, so that silos of the first version that still run fail instead of looking for handles. Then PostgresMigration replaces each handle by its key.
        """
        ALTER TABLE journal_contexts RENAME COLUMN handle TO key;
        ALTER TABLE journal_snapshots RENAME COLUMN handle TO key;
        ALTER TABLE journal_records RENAME COLUMN handle TO key;
        """,
    ];

    /// <summary>Grants what a running silo needs.</summary>
    /// <param name="user">The name of its user, quoted.</param>
    public static string GrantsTo(string user)
        => $"""
            GRANT SELECT, INSERT, UPDATE, DELETE ON journal_contexts, journal_records, journal_snapshots TO {user};
            GRANT SELECT ON journal_schema TO {user};
            """;

    /// <summary>The first version whose keys are not handles.</summary>
    public const int KeyedVersion = 2;
}
