using IommuFd.GrainInterfaces;
using Microsoft.Extensions.Logging;

namespace IommuFd.Silo.Journals;

/// <summary>Every log message of the journals.</summary>
internal static partial class JournalLog
{
    [LoggerMessage(2011, LogLevel.Information, "Journals are stored in {Store}")]
    public static partial void JournalOpened(this ILogger logger, Plain store);

    [LoggerMessage(2012, LogLevel.Debug, "Commit of {Writes} writes, {Bytes} bytes, failed in {Store}; the outcome of each is unknown")]
    public static partial void CommitFailed(this ILogger logger, Exception exception, int writes, long bytes, Plain store);

    [LoggerMessage(2013, LogLevel.Debug, "{Store} failed to {Operation}; retrying")]
    public static partial void StoreRetried(this ILogger logger, Exception exception, Plain store, Plain operation);

    [LoggerMessage(2014, LogLevel.Error, "Journals fail, and so does every request of a durable context, until {Store} works again: {Reason}")]
    public static partial void StoreFailed(this ILogger logger, Exception exception, Plain store, Plain reason);

    [LoggerMessage(2015, LogLevel.Error, "{Store} has failed for {Seconds} s, {Failures} times; the last time: {Reason}")]
    public static partial void StoreStillFailing(this ILogger logger, Plain store, long seconds, long failures, Plain reason);

    [LoggerMessage(2016, LogLevel.Information, "{Store} works again; it failed for {Seconds} s, {Failures} times")]
    public static partial void StoreRecovered(this ILogger logger, Plain store, long seconds, long failures);

    [LoggerMessage(2017, LogLevel.Warning, "{File} could be read or written by other users (mode {Mode}); it is its owner's alone now. Others may know what it has, or have changed it")]
    public static partial void FileWasOpenToOthers(this ILogger logger, Plain file, Plain mode);

    [LoggerMessage(2018, LogLevel.Warning, "{Store} could not be noted as closed: {Reason}")]
    public static partial void FileNotClosed(this ILogger logger, Exception exception, Plain store, Plain reason);
}
