namespace IommuFd.Client;

/// <summary>Releases what the SDK's user has taken from the service, such as a reference or a hold. Disposing it does that only if nothing else has.</summary>
internal sealed class ReleaseOnce<T>(Func<CancellationToken, Task<T>> release) : IAsyncDisposable
{
    private int _ended;

    /// <summary>Sends the release, even if one was sent before, and throws the service's error.</summary>
    public Task<T> EndAsync(CancellationToken cancellationToken)
    {
        Volatile.Write(ref _ended, 1);
        return release(cancellationToken);
    }

    /// <summary>Sends the release if none was sent. Does not throw: what the release does not reach ends with its lease.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _ended, 1) == 0)
        {
            try
            {
                await release(CancellationToken.None);
            }
            catch (Exception exception) when (exception is IommufdException or IommufdTransportException)
            {
            }
        }
    }
}
