using Microsoft.Extensions.Logging;

namespace IommuFd.Silo.Journals;

/// <summary>Every log message of the journals.</summary>
internal static partial class JournalLog
{
    [LoggerMessage(2011, LogLevel.Information, "Journals are kept in {Store}")]
    public static partial void JournalOpened(this ILogger logger, string store);

    [LoggerMessage(2012, LogLevel.Error, "A commit of {Writes} writes, {Bytes} bytes, failed in {Store}; each of them may be made or not")]
    public static partial void CommitFailed(this ILogger logger, Exception exception, int writes, long bytes, string store);

    [LoggerMessage(2013, LogLevel.Debug, "{Store} failed to {Operation}, once more")]
    public static partial void StoreRetried(this ILogger logger, Exception exception, string store, string operation);
}
