using Microsoft.Extensions.Logging;

namespace IommuFd.Silo.Journals;

/// <summary>Every log message of the journals.</summary>
internal static partial class JournalLog
{
    [LoggerMessage(2011, LogLevel.Information, "Journals are stored in {Store}")]
    public static partial void JournalOpened(this ILogger logger, string store);

    [LoggerMessage(2012, LogLevel.Error, "Commit of {Writes} writes, {Bytes} bytes, failed in {Store}; the outcome of each is unknown")]
    public static partial void CommitFailed(this ILogger logger, Exception exception, int writes, long bytes, string store);

    [LoggerMessage(2013, LogLevel.Debug, "{Store} failed to {Operation}; retrying")]
    public static partial void StoreRetried(this ILogger logger, Exception exception, string store, string operation);
}
