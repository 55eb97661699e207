using IommuFd.Grains.Journaling;
using Microsoft.Data.Sqlite;

namespace IommuFd.Silo.Journals;

/// <summary>Explains SQLite's failures to people.</summary>
internal static class SqliteErrors
{
    private const int ErrorPermission = 3;
    private const int ErrorBusy = 5;
    private const int ErrorLocked = 6;
    private const int ErrorReadOnly = 8;
    private const int ErrorIO = 10;
    private const int ErrorCorrupt = 11;
    private const int ErrorFull = 13;
    private const int ErrorCannotOpen = 14;
    private const int ErrorConstraint = 19;
    private const int ErrorNotADatabase = 26;

    /// <summary>The store's exception for a failure.</summary>
    public static JournalStoreException ToStore(Exception cause, string operation, string store, TimeSpan timeout)
    {
        var reason = cause switch
        {
            SqliteException { SqliteErrorCode: var code } exception => code switch
            {
                ErrorBusy or ErrorLocked => $"another process has held the file's lock for longer than {timeout.TotalSeconds} s",
                ErrorFull => "the disk is full",
                ErrorIO => $"the disk failed, or is full ({exception.Message})",
                ErrorCorrupt => "the file is damaged; restore it from a backup",
                ErrorNotADatabase => "the file is not a SQLite database",
                ErrorCannotOpen or ErrorPermission => "the file can't be opened; check that its folder exists and that this user may write to it",
                ErrorReadOnly => "the file is read-only",
                ErrorConstraint => $"a journal position is already taken: a bug of the writer, or damage ({exception.Message})",
                _ => exception.Message,
            },
            ObjectDisposedException => "the store is closed",
            _ => cause.Message,
        };
        return new JournalStoreException($"{store} could not {operation}: {reason}.", cause);
    }

    /// <summary>Whether the file or the disk caused the failure.</summary>
    public static bool IsStores(Exception exception)
        => exception is SqliteException or IOException or UnauthorizedAccessException or ObjectDisposedException;
}
