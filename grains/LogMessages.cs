using IommuFd.GrainInterfaces;
using IommuFd.Grains.Journaling;
using Microsoft.Extensions.Logging;

namespace IommuFd.Grains;

/// <summary>Every log message of the grains. A context is logged by its tag; its handle never comes here.</summary>
internal static partial class LogMessages
{
    [LoggerMessage(1001, LogLevel.Debug, "Context {Context} opened in {Mode} mode by {Name}")]
    public static partial void ContextOpened(this ILogger logger, ContextTag context, ContextMode mode, Plain name);

    [LoggerMessage(1002, LogLevel.Debug, "Context {Context} released: {Destroyed} objects destroyed, {Stuck} stuck")]
    public static partial void ContextReleased(this ILogger logger, ContextTag context, int destroyed, int stuck);

    [LoggerMessage(1003, LogLevel.Error, "Bug: release of context {Context} could not free {Type} {Id}, users {Users}, held by {Holders}; it is dropped with the context")]
    public static partial void ObjectStuck(this ILogger logger, ContextTag context, ObjectType type, ObjectId id, long users, Plain holders);

    [LoggerMessage(1004, LogLevel.Warning, "Ending the grain of {Type} {Id} of context {Context} failed; it keeps its state until its silo stops")]
    public static partial void ObjectGrainNotEnded(this ILogger logger, Exception exception, ObjectType type, ObjectId id, ContextTag context);

    [LoggerMessage(1005, LogLevel.Error, "The grain of {Type} {Id} of context {Context} failed")]
    public static partial void ObjectGrainFailed(this ILogger logger, Exception exception, ObjectType type, ObjectId id, ContextTag context);

    [LoggerMessage(1006, LogLevel.Information, "Context {Context}: the lease of {Kind} reference {Reference} of {Name} expired; the reference is put")]
    public static partial void LeaseExpired(this ILogger logger, ContextTag context, ReferenceKind kind, long reference, Plain name);

    [LoggerMessage(1007, LogLevel.Information, "Context {Context} recovered in epoch {Epoch}: snapshot of record {Snapshot}, {Position} records, {Objects} objects")]
    public static partial void ContextRecovered(this ILogger logger, ContextTag context, long epoch, long snapshot, long position, int objects);

    [LoggerMessage(1008, LogLevel.Warning, "The journal of context {Context} ends with torn record {Position}, which is dropped")]
    public static partial void JournalTorn(this ILogger logger, ContextTag context, long position);

    [LoggerMessage(1009, LogLevel.Error, "Context {Context} can't be recovered: {Reason}")]
    public static partial void JournalUnusable(this ILogger logger, ContextTag context, Plain reason);

    [LoggerMessage(1010, LogLevel.Error, "Record {Position} of context {Context} is intact but can't be read")]
    public static partial void JournalUnreadable(this ILogger logger, Exception exception, ContextTag context, long position);

    [LoggerMessage(1011, LogLevel.Warning, "This activation of context {Context} deactivates: {Reason}")]
    public static partial void ContextAbandoned(this ILogger logger, ContextTag context, Plain reason);

    [LoggerMessage(1012, LogLevel.Error, "Replay of record {Position} of context {Context} did not give the recorded reply: {Record}")]
    public static partial void JournalDiverged(this ILogger logger, ContextTag context, long position, JournalRecord record);

    [LoggerMessage(1013, LogLevel.Warning, "Operator {Operator} released context {Context}, which still had {References} references")]
    public static partial void OperatorReleased(this ILogger logger, Plain @operator, ContextTag context, int references);

    [LoggerMessage(1014, LogLevel.Warning, "Operator {Operator} dropped driver reference {Reference} of {Name} to context {Context}, with {Holds} holds")]
    public static partial void OperatorDroppedDriver(this ILogger logger, Plain @operator, long reference, Plain name, ContextTag context, int holds);

    [LoggerMessage(1015, LogLevel.Warning, "Operator {Operator} dropped hold {Hold} of driver {Name} on object {Id} of context {Context}")]
    public static partial void OperatorDroppedHold(this ILogger logger, Plain @operator, long hold, Plain name, ObjectId id, ContextTag context);

    [LoggerMessage(1016, LogLevel.Debug, "Silo {Silo} did not answer the monitor: {Reason}")]
    public static partial void SiloSilent(this ILogger logger, Plain silo, Plain reason);

    [LoggerMessage(1017, LogLevel.Debug, "Handing over context {Context} with {Objects} objects to {Silo}")]
    public static partial void ContextHandedOver(this ILogger logger, ContextTag context, Plain silo, int objects);

    [LoggerMessage(1018, LogLevel.Error, "Bug: {Type} {Id} of context {Context} has users {Users} in the table and {GrainUsers} in its grain; it was not destroyed")]
    public static partial void UsersDisagree(this ILogger logger, ObjectType type, ObjectId id, ContextTag context, long users, long grainUsers);

    [LoggerMessage(1019, LogLevel.Warning, "Refused {Count} calls that no silo can have made, the last to {Target}: an Orleans client calls what only silos may call")]
    public static partial void CallsRefused(this ILogger logger, long count, Plain target);

    [LoggerMessage(1020, LogLevel.Warning, "Context {Context} could not be handed over to {Silo}")]
    public static partial void ContextNotHandedOver(this ILogger logger, Exception exception, ContextTag context, Plain silo);

    [LoggerMessage(1021, LogLevel.Warning, "Context {Context} belongs to cluster '{Cluster}', which has its journals in the same store; it stays there")]
    public static partial void ContextElsewhere(this ILogger logger, ContextTag context, Plain cluster);

    [LoggerMessage(1030, LogLevel.Debug, "A program did not say whether memory that context {Context} is to pin is there; it counts as it was when it was mapped")]
    public static partial void ProgramUnasked(this ILogger logger, Exception exception, ContextTag context);
}
