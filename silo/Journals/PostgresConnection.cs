using Npgsql;

namespace IommuFd.Silo.Journals;

/// <summary>Connects a store to PostgreSQL. No message quotes the connection string, since it may contain a password.</summary>
internal static class PostgresConnection
{
    /// <summary>The message for a connection string that can't be parsed.</summary>
    public const string Unreadable = "Journal:ConnectionString" + UnreadableText;

    /// <summary>The same for that of the setup.</summary>
    public const string UnreadableSetup = "Journal:SetupConnectionString" + UnreadableText;

    private const string UnreadableText
        = " can't be read. Write a list such as Host=db;Port=5432;Database=iommufd;Username=iommufd;Password=...; "
            + "quote a value that has a semicolon. (It is not shown here, since it may contain a password.)";

    private const int DefaultMaxPoolSize = 16;

    // A commit must not end before it is on disk, and each of its statements must see only what was committed when it began.
    // Every statement here is a look-up by key. A plan made while the tables were empty would scan them, and be kept when they are full.
    // A silo that vanishes in the middle of a commit holds locks until the server notices, by default for hours.
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

    /// <summary>Names the database for people, without the password.</summary>
    public static string Describe(string connectionString)
    {
        var text = new NpgsqlConnectionStringBuilder(connectionString);
        return $"PostgreSQL database {text.Database ?? text.Username} at {text.Host}:{text.Port}";
    }

    /// <summary>Creates the connection source without connecting.</summary>
    /// <returns>Null if the connection string can't be parsed. The parser's message is dropped, since it quotes what it doesn't understand.</returns>
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

            // No statement here changes session state, so a connection returned to the pool needs no reset.
            NoResetOnClose = true,

            // Error details quote values.
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
