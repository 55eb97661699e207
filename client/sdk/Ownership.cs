using IommuFd.GrainInterfaces;

namespace IommuFd.Client;

/// <summary>Makes ownerships of references.</summary>
internal static class Ownership
{
    /// <summary>A reference to a context, whose lease is renewed until it is put.</summary>
    public static Ownership<ReleaseReport?> OfReference(
        string operation, ContextHandle handle, IContextGrain grain, ReferenceId reference, TimeSpan lease, Transport transport, LeaseKeeper leases)
    {
        var kept = leases.Keep(handle, grain, reference, lease);
        return new Ownership<ReleaseReport?>(() =>
        {
            kept?.Dispose();
            return transport.PutAsync(operation, grain, reference);
        });
    }
}

/// <summary>Something of the service's that the SDK's user has to let go of: a reference or a hold.</summary>
internal sealed class Ownership<T>(Func<Task<T>> letGo) : IAsyncDisposable
{
    private int _ended;

    /// <summary>Lets go, and throws what the service answers, also when that was done before.</summary>
    public Task<T> EndAsync()
    {
        Volatile.Write(ref _ended, 1);
        return letGo();
    }

    /// <summary>Lets go where that was not done. Does not throw: what can't be reached ends with its context or silo.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _ended, 1) == 0)
        {
            try
            {
                await letGo();
            }
            catch (Exception exception) when (exception is IommufdException or IommufdTransportException)
            {
            }
        }
    }
}
