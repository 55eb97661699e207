using IommuFd.GrainInterfaces;

namespace IommuFd.Client;

/// <summary>A driver's request.</summary>
internal sealed class DriverCall(Session session, ContextCalls grain, ReferenceId reference, string name, DriverRequest request) : SessionRequest<DriverReply>(session)
{
    protected override string Name => name;

    protected override ValueTask<DriverReply> SendAsync(OperationId operation) => grain.DriverAsync(reference, request, operation);
}
