using Npgsql;

namespace IommuFd.Silo.Clustering;

// Connection strings hold passwords. They enter here, and what leaves for people's eyes is Describe's words.

/// <summary>A PostgreSQL database that a connection string names.</summary>
public static class PostgresDatabase
{
    private const string PasswordVariable = "PGPASSWORD";

    /// <summary>
    /// Takes the password from the file that <c>PGPASSWORD_FILE</c> names, as images of containers do, unless <c>PGPASSWORD</c> is set. Npgsql reads
    /// <c>PGPASSWORD</c> wherever a connection string has no password, so that one secret serves every database user in the process.
    /// </summary>
    public static void ReadPasswordFile()
    {
        if (Environment.GetEnvironmentVariable(PasswordVariable) is null && Environment.GetEnvironmentVariable($"{PasswordVariable}_FILE") is { Length: > 0 } file)
        {
            Environment.SetEnvironmentVariable(PasswordVariable, File.ReadAllText(file).TrimEnd('\r', '\n'));
        }
    }

    /// <summary>The database for people: without the password.</summary>
    public static string Describe(string connectionString)
    {
        var settings = new NpgsqlConnectionStringBuilder(connectionString);
        return $"PostgreSQL database '{settings.Database ?? settings.Username}' at {settings.Host}:{settings.Port}";
    }

    internal static NpgsqlDataSource Open(string connectionString, string applicationName)
    {
        var settings = new NpgsqlConnectionStringBuilder(connectionString);
        settings.ApplicationName ??= applicationName;
        return NpgsqlDataSource.Create(settings);
    }

    /// <summary>What is wrong with a connection string, or null. It never repeats the string, nor what the parser says of it: either may have the password.</summary>
    public static string? Problem(string? connectionString)
    {
        const string Example = "for example Host=localhost;Database=iommufd;Username=iommufd";
        if (string.IsNullOrWhiteSpace(connectionString))
        {
            return $"is missing: it names the PostgreSQL database, {Example}";
        }

        try
        {
            return string.IsNullOrEmpty(new NpgsqlConnectionStringBuilder(connectionString).Host) ? $"names no Host, {Example}" : null;
        }
        catch (Exception exception) when (exception is ArgumentException or FormatException or InvalidCastException)
        {
            return $"is no connection string of PostgreSQL, {Example}";
        }
    }
}
