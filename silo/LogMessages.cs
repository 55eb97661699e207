using System.Net;
using IommuFd.GrainInterfaces;
using IommuFd.GrainInterfaces.Security;
using IommuFd.Uapi;
using Microsoft.Extensions.Logging;

namespace IommuFd.Silo;

/// <summary>The server's own log messages. Event ids start at 2001 and never change.</summary>
internal static partial class LogMessages
{
    [LoggerMessage(2001, LogLevel.Information, "Joining cluster '{ClusterId}'; its membership is in {Database}")]
    public static partial void JoiningCluster(this ILogger logger, Plain clusterId, Plain database);

    [LoggerMessage(2002, LogLevel.Information, "{Database} had no membership tables; created them")]
    public static partial void MembershipCreated(this ILogger logger, Plain database);

    [LoggerMessage(2003, LogLevel.Warning, "{Database} does not answer; retrying for up to {Patience}: {Problem}")]
    public static partial void DatabaseNotThere(this ILogger logger, Plain database, TimeSpan patience, Plain problem);

    [LoggerMessage(2021, LogLevel.Information, "Recovered {Count} contexts whose silos are gone")]
    public static partial void OrphansRecovered(this ILogger logger, int count);

    [LoggerMessage(2022, LogLevel.Warning, "Sweep for contexts whose silos are gone failed; retrying")]
    public static partial void SweepFailed(this ILogger logger, Exception exception);

    [LoggerMessage(2023, LogLevel.Warning, "Refused {Count} connections to the port for {Port} since this was last said; the latest came from {From}: {Reason}")]
    public static partial void ConnectionsRefused(this ILogger logger, PortKind port, long count, Plain from, Plain reason);

    [LoggerMessage(2024, LogLevel.Warning, "Silo:Secret is none: any process that reaches the silo's ports can end it, and can act on contexts whose handles it knows")]
    public static partial void PeersProveNothing(this ILogger logger);

    [LoggerMessage(2031, LogLevel.Information, "Serving metrics for Prometheus at http://{Endpoint}/metrics")]
    public static partial void MetricsServed(this ILogger logger, IPEndPoint endpoint);

    [LoggerMessage(2032, LogLevel.Warning, "Metrics: refused a request from {From}: {Reason}. {Others} more were refused since this was last said")]
    public static partial void MetricsRefused(this ILogger logger, Plain from, Plain reason, long others);

    [LoggerMessage(2041, LogLevel.Information, "'{Name}' signed in to the dashboard as {Role} from {From}")]
    public static partial void SignedIn(this ILogger logger, Plain name, Plain role, Plain from);

    [LoggerMessage(2042, LogLevel.Warning, "Dashboard: refused a token from {From}: {Reason}. {Others} more were refused since this was last said")]
    public static partial void SignInRefused(this ILogger logger, Plain from, Plain reason, long others);

    [LoggerMessage(2043, LogLevel.Warning, "Operator {Operator} requests {Action} on context {Context} (reference {Reference}, hold {Hold})")]
    public static partial void OperatorActs(this ILogger logger, Plain @operator, Plain action, ContextTag context, long reference, long hold);

    [LoggerMessage(2044, LogLevel.Warning, "Operator {Operator}: {Action} on context {Context} answered {Errno}")]
    public static partial void OperatorActed(this ILogger logger, Plain @operator, Plain action, ContextTag context, Errno errno);

    [LoggerMessage(2045, LogLevel.Debug, "The cluster did not answer the dashboard: {Problem}")]
    public static partial void ClusterSilent(this ILogger logger, Plain problem);

    [LoggerMessage(2046, LogLevel.Warning, "This silo is not ready: {Reasons}")]
    public static partial void SiloNotReady(this ILogger logger, Plain reasons);

    [LoggerMessage(2047, LogLevel.Information, "This silo is ready again")]
    public static partial void SiloReady(this ILogger logger);

    [LoggerMessage(2051, LogLevel.Information, "{Program} of {Identity} opened context {Context} by the gateway")]
    public static partial void ContextOpened(this ILogger logger, Plain program, Plain identity, ContextTag context);

    [LoggerMessage(2052, LogLevel.Information, "{Identity} has closed the last descriptor of context {Context}")]
    public static partial void ContextClosed(this ILogger logger, Plain identity, ContextTag context);

    [LoggerMessage(2053, LogLevel.Warning, "A file of context {Context} got no descriptor, and what opened it could not be undone: {Problem}")]
    public static partial void FileLeft(this ILogger logger, ContextTag context, Plain problem);

    [LoggerMessage(2054, LogLevel.Warning, "Ended a connection of {Identity} (process {Process}): {Problem}. {Others} more were ended since this was last said")]
    public static partial void ConnectionEnded(this ILogger logger, Plain identity, int process, Plain problem, long others);

    [LoggerMessage(2055, LogLevel.Warning, "A descriptor could not be accepted: {Problem}. {Others} more were not since this was last said")]
    public static partial void DescriptorNotAccepted(this ILogger logger, Plain problem, long others);

    [LoggerMessage(2057, LogLevel.Warning, "Refused a client of the gateway's port from {From} ({Identity}): {Reason}. {Others} more were refused since this was last said")]
    public static partial void PeerRefused(this ILogger logger, IPAddress from, Plain identity, Plain reason, long others);

    [LoggerMessage(2058, LogLevel.Information, "{Identity} granted context {Context} to {Grantee}")]
    public static partial void ContextGranted(this ILogger logger, Plain identity, ContextTag context, Plain grantee);

    [LoggerMessage(2056, LogLevel.Error, "A request by the gateway failed in a way that is a bug; it was answered EIO")]
    public static partial void RequestFailed(this ILogger logger, Exception exception);

    [LoggerMessage(2059, LogLevel.Information, "{Program} of {Identity} opened device {Device} by the gateway")]
    public static partial void DeviceOpened(this ILogger logger, Plain program, Plain identity, Plain device);

    [LoggerMessage(2061, LogLevel.Error, "The emulated device {Device} failed in a way that is a bug; what it was doing is given up")]
    public static partial void DeviceFailed(this ILogger logger, Exception exception, Plain device);

    [LoggerMessage(2060, LogLevel.Information, "{Program} of {Identity} resumed context {Context}, which it had open by a gateway that ended")]
    public static partial void DescriptorResumed(this ILogger logger, Plain program, Plain identity, ContextTag context);
}
