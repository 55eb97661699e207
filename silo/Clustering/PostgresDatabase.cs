using Npgsql;

namespace IommuFd.Silo.Clustering;

// Connection strings contain passwords. They enter here, and people see only what Describe returns.

/// <summary>A PostgreSQL database that a connection string names.</summary>
public static class PostgresDatabase
{
    private const string PasswordVariable = "PGPASSWORD";

    /// <summary>
    /// Reads the password from the file that <c>PGPASSWORD_FILE</c> names, as container images do, unless <c>PGPASSWORD</c> is set. Npgsql uses
    /// <c>PGPASSWORD</c> wherever a connection string has no password, so one secret serves every database user in the process.
    /// </summary>
    public static void ReadPasswordFile()
    {
        if (Environment.GetEnvironmentVariable(PasswordVariable) is null && Environment.GetEnvironmentVariable($"{PasswordVariable}_FILE") is { Length: > 0 } file)
        {
            Environment.SetEnvironmentVariable(PasswordVariable, File.ReadAllText(file).TrimEnd('\r', '\n'));
        }
    }

    /// <summary>Names the database for people, without the password.</summary>
    public static string Describe(string connectionString)
    {
        var settings = new NpgsqlConnectionStringBuilder(connectionString);
        return $"PostgreSQL database '{settings.Database ?? settings.Username}' at {settings.Host}:{settings.Port}";
    }

    /// <summary>A name as SQL writes it, whatever is in it.</summary>
    internal static string Quote(string name) => $"\"{name.Replace("\"", "\"\"", StringComparison.Ordinal)}\"";

    internal static NpgsqlDataSource Open(string connectionString, string applicationName)
    {
        var settings = new NpgsqlConnectionStringBuilder(connectionString);
        settings.ApplicationName ??= applicationName;
        return NpgsqlDataSource.Create(settings);
    }

    /// <summary>
    /// What is wrong with a connection string, or null. Quotes neither the string nor the parser's message: either may contain the password.
    /// </summary>
    public static string? Problem(string? connectionString)
    {
        const string Example = "Host=localhost;Database=iommufd;Username=iommufd";
        if (string.IsNullOrWhiteSpace(connectionString))
        {
            return $"is missing; it must name the PostgreSQL database, for example {Example}";
        }

        try
        {
            return string.IsNullOrEmpty(new NpgsqlConnectionStringBuilder(connectionString).Host) ? $"names no Host; write it like {Example}" : null;
        }
        catch (Exception exception) when (exception is ArgumentException or FormatException or InvalidCastException)
        {
            return $"is not a PostgreSQL connection string; write it like {Example}";
        }
    }
}
