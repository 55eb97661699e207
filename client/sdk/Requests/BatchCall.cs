using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Client;

/// <summary>A batch of a file. A long answer comes in parts, one after the other, each with attempts of its own.</summary>
internal sealed class BatchCall(Session session, ContextCalls grain, IoctlBatchRequest request) : SessionRequest<IoctlBatchReply>(session)
{
    protected override string Name => "batch";

    protected override ValueTask<IoctlBatchReply> SendAsync(OperationId operation) => grain.IoctlBatchAsync(request, operation);

    protected override Task<IoctlBatchReply>? CompleteAsync(IoctlBatchReply reply, CancellationToken cancellationToken)
        => reply.Missing > 0 ? FetchRestAsync(reply, cancellationToken) : null;

    private async Task<IoctlBatchReply> FetchRestAsync(IoctlBatchReply first, CancellationToken cancellationToken)
    {
        var replies = new List<IoctlReply>(first.Replies);
        for (var part = first; part.Missing > 0; replies.AddRange(part.Replies))
        {
            part = await Session.Core.Transport.CallAsync(
                Name, () => grain.IoctlBatchRestAsync(Operation(isRepeat: true), replies.Count).AsTask(), static _ => true, cancellationToken).ConfigureAwait(false);
            if (part.Errno != Errno.None)
            {
                return part;
            }
        }

        return new IoctlBatchReply { Replies = [.. replies] };
    }
}
