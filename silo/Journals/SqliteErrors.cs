using IommuFd.Grains.Journaling;
using Microsoft.Data.Sqlite;

namespace IommuFd.Silo.Journals;

/// <summary>What SQLite's failures mean to a person.</summary>
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

    /// <summary>The exception that tells of a failure.</summary>
    public static JournalStoreException ToStore(Exception cause, string operation, string store, TimeSpan timeout)
    {
        var reason = cause switch
        {
            SqliteException { SqliteErrorCode: var code } exception => code switch
            {
                ErrorBusy or ErrorLocked => $"another process has held the file's lock for longer than {timeout.TotalSeconds} s",
                ErrorFull => "the disk is full",
                ErrorIO => $"the disk failed, or is full ({exception.Message})",
                ErrorCorrupt => "the file is damaged; restore it from a copy",
                ErrorNotADatabase => "the file is no database of SQLite",
                ErrorCannotOpen or ErrorPermission => "the file can't be opened; is its folder there, and may this user write in it?",
                ErrorReadOnly => "the file is read-only",
                ErrorConstraint => $"a place in a journal is taken already, which is a bug of the writer or damage ({exception.Message})",
                _ => exception.Message,
            },
            ObjectDisposedException => "the store is closed",
            _ => cause.Message,
        };
        return new JournalStoreException($"{store} could not {operation}: {reason}.", cause);
    }

    /// <summary>Whether a failure is one that the file or the disk is the cause of.</summary>
    public static bool IsStores(Exception exception)
        => exception is SqliteException or IOException or UnauthorizedAccessException or ObjectDisposedException;
}
