using Npgsql;

namespace IommuFd.Silo.Journals;

/// <summary>How a store connects to PostgreSQL. What is said about it never has the text that it comes from, since that may have a password.</summary>
internal static class PostgresConnection
{
    /// <summary>What to say about a text that can't be read.</summary>
    public const string Unreadable
        = "Journal:ConnectionString can't be read. It is a list such as Host=db;Port=5432;Database=iommufd;Username=iommufd;Password=...; "
            + "a value with a semicolon stands in quotes. (It is not shown here, since it may have a password.)";

    private const int DefaultMaxPoolSize = 16;

    // Every statement here is a look-up by key. A plan that was made when the tables were empty would scan them, and be kept when they are full.
    // A commit must not end before it is on disk, nor see more than what was committed when each of its statements began.
    // A silo that vanishes in the middle of a commit holds locks until the server notices that it is gone: by default that takes hours.
    private const string SessionSettings =
        """
        SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local');
        SET default_transaction_isolation = 'read committed';
        SET default_transaction_read_only = off;
        SET enable_seqscan = off;
        SET tcp_keepalives_idle = 10;
        SET tcp_keepalives_interval = 5;
        SET tcp_keepalives_count = 3;
        SET tcp_user_timeout = 30000;
        """;

    /// <summary>Where a connection leads, for people.</summary>
    public static string Describe(string connectionString)
    {
        var text = new NpgsqlConnectionStringBuilder(connectionString);
        return $"PostgreSQL database {text.Database ?? text.Username} at {text.Host}:{text.Port}";
    }

    /// <summary>Makes the source of connections; connects to nothing yet.</summary>
    /// <returns>Null where the text can't be read. What the parser has to say stays here: it quotes what it doesn't understand.</returns>
    public static NpgsqlDataSource? TryOpen(string? connectionString, TimeSpan timeout)
    {
        try
        {
            return string.IsNullOrWhiteSpace(connectionString) ? null : Open(connectionString, timeout);
        }
        catch (Exception exception) when (exception is ArgumentException or FormatException or InvalidCastException or OverflowException or InvalidOperationException)
        {
            return null;
        }
    }

    private static NpgsqlDataSource Open(string connectionString, TimeSpan timeout)
    {
        var text = new NpgsqlConnectionStringBuilder(connectionString)
        {
            CommandTimeout = Math.Max(1, (int)timeout.TotalSeconds),

            // Nothing here changes a session, so a connection that goes back to the pool has nothing to be reset.
            NoResetOnClose = true,

            // A detail has keys in it, and a handle is one.
            IncludeErrorDetail = false,
            ApplicationName = "iommufd-silo",
        };
        if (!text.ContainsKey("Maximum Pool Size"))
        {
            text.MaxPoolSize = Math.Max(DefaultMaxPoolSize, text.MinPoolSize);
        }

        if (!text.ContainsKey("Max Auto Prepare"))
        {
            text.MaxAutoPrepare = 32;
            text.AutoPrepareMinUsages = 2;
        }

        var builder = new NpgsqlDataSourceBuilder(text.ConnectionString);
        builder.UsePhysicalConnectionInitializer(SetUp, SetUpAsync);
        return builder.Build();
    }

    private static void SetUp(NpgsqlConnection connection)
    {
        using var command = new NpgsqlCommand(SessionSettings, connection);
        command.ExecuteNonQuery();
    }

    private static async Task SetUpAsync(NpgsqlConnection connection)
    {
        await using var command = new NpgsqlCommand(SessionSettings, connection);
        await command.ExecuteNonQueryAsync();
    }
}
