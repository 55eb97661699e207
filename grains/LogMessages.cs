using IommuFd.GrainInterfaces;
using Microsoft.Extensions.Logging;

namespace IommuFd.Grains;

/// <summary>Every log message of the grains. Handles are shown short: whole, they are keys.</summary>
internal static partial class LogMessages
{
    [LoggerMessage(1001, LogLevel.Debug, "Context {Handle} opened in {Mode} mode by {Name}")]
    public static partial void ContextOpened(this ILogger logger, string handle, ContextMode mode, string name);

    [LoggerMessage(1002, LogLevel.Debug, "Context {Handle} released: {Destroyed} objects destroyed, {Stuck} stuck")]
    public static partial void ContextReleased(this ILogger logger, string handle, int destroyed, int stuck);

    [LoggerMessage(1003, LogLevel.Error, "Bug: release of context {Handle} could not free {Type} {Id}, users {Users}, held by {Holders}; it goes with its context")]
    public static partial void ObjectStuck(this ILogger logger, string handle, ObjectType type, ObjectId id, long users, string holders);

    [LoggerMessage(1004, LogLevel.Warning, "The grain of {Type} {Id} of context {Handle} did not end; its state stays until the silo leaves")]
    public static partial void ObjectGrainNotEnded(this ILogger logger, Exception exception, ObjectType type, ObjectId id, string handle);

    [LoggerMessage(1005, LogLevel.Error, "The grain of {Type} {Id} of context {Handle} failed")]
    public static partial void ObjectGrainFailed(this ILogger logger, Exception exception, ObjectType type, ObjectId id, string handle);
}
