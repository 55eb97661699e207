namespace IommuFd.Silo.Journals;

/// <summary>The tables of a PostgreSQL store, as the steps that lead from an empty database to this version's.</summary>
internal static class PostgresSchema
{
    /// <summary>Where the version is kept.</summary>
    public const string CreateVersions = "CREATE TABLE IF NOT EXISTS journal_schema (version integer NOT NULL)";

    /// <summary>Step i leads from version i to i + 1. Steps that were released never change.</summary>
    public static readonly string[] Migrations =
    [
        // A context's row changes with each epoch and snapshot: room on its page keeps the indexes out of it.
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
    ];
}
