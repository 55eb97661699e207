using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Client;

/// <summary>Calls grains, and tells answers from the lack of one.</summary>
internal static class Transport
{
    /// <summary>Calls a grain; where no answer comes, says so in the SDK's own exception.</summary>
    public static async Task<T> CallAsync<T>(string operation, Func<Task<T>> call)
    {
        try
        {
            return await call();
        }
        catch (Exception exception) when (IommufdTransportException.IsTransport(exception))
        {
            throw IommufdTransportException.From(operation, exception);
        }
    }

    /// <summary>Puts a reference to a context back.</summary>
    public static async Task<ReleaseReport?> PutAsync(string operation, IContextGrain grain, ReferenceId reference)
    {
        var reply = await CallAsync(operation, () => grain.PutAsync(reference));
        return reply.Errno == Errno.None ? reply.Release : throw new IommufdException(operation, reply.Errno, reply.Diagnostic);
    }
}
