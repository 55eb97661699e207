namespace IommuFd.Client;

/// <summary>Something of the service's that the SDK's user has to let go of: a reference or a hold.</summary>
internal sealed class ReleaseOnce<T>(Func<CancellationToken, Task<T>> letGo) : IAsyncDisposable
{
    private int _ended;

    /// <summary>Lets go, and throws what the service answers, also when that was done before.</summary>
    public Task<T> EndAsync(CancellationToken cancellationToken)
    {
        Volatile.Write(ref _ended, 1);
        return letGo(cancellationToken);
    }

    /// <summary>Lets go where that was not done. Does not throw: what can't be reached ends with its lease.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _ended, 1) == 0)
        {
            try
            {
                await letGo(CancellationToken.None);
            }
            catch (Exception exception) when (exception is IommufdException or IommufdTransportException)
            {
            }
        }
    }
}
