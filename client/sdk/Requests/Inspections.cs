using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Client;

/// <summary>Requests that change nothing. They need neither a reference nor a session, and can be repeated at will.</summary>
internal static class Inspections
{
    public static Task<ObjectInspection?> InspectObjectAsync(
        Transport transport, ContextCalls grain, ObjectId id, StatePage page, CancellationToken cancellationToken)
        => transport.CallAsync("inspect", () => grain.InspectObjectAsync(id, page), static _ => true, cancellationToken);

    public static async Task<HolderGraph> InspectGraphAsync(Transport transport, ContextCalls grain, GraphRequest request, CancellationToken cancellationToken)
    {
        var graph = await transport.CallAsync("inspect", () => grain.InspectGraphAsync(request), static _ => true, cancellationToken);
        return graph.Errno switch
        {
            Errno.None => graph,
            Errno.ENOENT => throw new IommufdException("inspect", graph.Errno, new IoctlDiagnostic { Reason = DiagnosticReason.ObjectNotFound, ObjectId = request.Root }),
            _ => throw new IommufdException("inspect", graph.Errno, new IoctlDiagnostic { Reason = DiagnosticReason.ContextNotOpen }),
        };
    }

    public static async Task<BusyExplanation> ExplainBusyAsync(Transport transport, ContextCalls grain, ObjectId id, CancellationToken cancellationToken)
    {
        var explanation = await transport.CallAsync("explain", () => grain.ExplainBusyAsync(id), static _ => true, cancellationToken);
        return explanation.Errno switch
        {
            Errno.None => explanation,
            Errno.ENOENT => throw new IommufdException("explain", explanation.Errno, new IoctlDiagnostic { Reason = DiagnosticReason.ObjectNotFound, ObjectId = id }),
            _ => throw new IommufdException("explain", explanation.Errno, new IoctlDiagnostic { Reason = DiagnosticReason.ContextNotOpen }),
        };
    }

    public static async Task<ContextInspection> InspectAsync(Transport transport, ContextCalls grain, InspectRequest request, CancellationToken cancellationToken)
    {
        var inspection = await transport.CallAsync("inspect", () => grain.InspectAsync(request, cancellationToken), static _ => true, cancellationToken);
        return inspection.Errno == Errno.None
            ? inspection
            : throw new IommufdException("inspect", inspection.Errno, new IoctlDiagnostic { Reason = DiagnosticReason.ContextNotOpen });
    }

    public static async Task<TailReply> TailAsync(Transport transport, ContextCalls grain, TailRequest request, CancellationToken cancellationToken)
    {
        var tail = await transport.CallAsync("tail", () => grain.TailAsync(request), static _ => true, cancellationToken);
        return tail.Errno == Errno.None ? tail : throw new IommufdException("tail", tail.Errno, new IoctlDiagnostic { Reason = DiagnosticReason.ContextNotOpen });
    }
}
