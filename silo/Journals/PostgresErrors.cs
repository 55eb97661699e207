using System.Net.Sockets;
using IommuFd.Grains.Journaling;
using Npgsql;

namespace IommuFd.Silo.Journals;

/// <summary>Explains PostgreSQL's failures to people.</summary>
internal static class PostgresErrors
{
    /// <summary>The store's exception for a failure. Neither the server nor Npgsql puts a password into a message.</summary>
    public static JournalStoreException ToStore(Exception cause, string operation, string store, TimeSpan timeout)
    {
        var reason = cause switch
        {
            PostgresException exception => exception.SqlState switch
            {
                PostgresErrorCodes.DiskFull => "the server's disk is full",
                PostgresErrorCodes.TooManyConnections => "the server has no connection left",
                PostgresErrorCodes.InvalidPassword or PostgresErrorCodes.InvalidAuthorizationSpecification => $"the server refuses the user or its password ({exception.MessageText})",
                PostgresErrorCodes.InvalidCatalogName => $"{exception.MessageText}; create it first",
                PostgresErrorCodes.InsufficientPrivilege => $"the user lacks a privilege ({exception.MessageText}); {nameof(JournalSettings.SetupConnectionString)} can name one who may set up the tables and grants what silos need",
                PostgresErrorCodes.ReadOnlySqlTransaction => "the server is read-only; is it a standby?",
                PostgresErrorCodes.QueryCanceled => $"it took longer than {timeout.TotalSeconds} s",
                PostgresErrorCodes.UniqueViolation or PostgresErrorCodes.NotNullViolation
                    => $"a journal position is already taken: a bug of the writer, or damage ({exception.MessageText})",
                _ => $"{exception.MessageText} (SQLSTATE {exception.SqlState})",
            },
            NpgsqlException { InnerException: TimeoutException } or TimeoutException => $"it took longer than {timeout.TotalSeconds} s",
            NpgsqlException { InnerException: SocketException socket } => $"the server can't be reached ({socket.Message})",
            NpgsqlException { InnerException: IOException } => "the connection to the server broke",
            ObjectDisposedException => "the store is closed",
            _ => cause.Message,
        };
        return new JournalStoreException($"{store} could not {operation}: {reason}.", cause);
    }

    /// <summary>Whether the server, or the connection to it, caused the failure.</summary>
    public static bool IsServers(Exception exception)
        => exception is NpgsqlException or SocketException or IOException or TimeoutException or ObjectDisposedException;

    /// <summary>Whether the transaction certainly had no effect and may succeed when repeated.</summary>
    public static bool IsRolledBack(Exception exception)
        => exception is PostgresException { SqlState: PostgresErrorCodes.DeadlockDetected or PostgresErrorCodes.SerializationFailure };

    /// <summary>Whether the connection is lost; those opened at the same time most likely are too.</summary>
    public static bool IsConnectionLost(Exception exception)
        => exception is PostgresException { SqlState: PostgresErrorCodes.AdminShutdown or PostgresErrorCodes.CrashShutdown or PostgresErrorCodes.CannotConnectNow }
            or NpgsqlException { InnerException: SocketException or IOException }
            or SocketException or IOException;
}
