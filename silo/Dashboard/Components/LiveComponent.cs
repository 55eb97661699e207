using Microsoft.AspNetCore.Components;

namespace IommuFd.Silo.Dashboard.Components;

// A page with changing data polls, one request after the other, from its first render in a browser until the user leaves it. Before that, while
// its first HTML is rendered, it asks nothing.

/// <summary>A page that reloads its data periodically.</summary>
public abstract class LiveComponent : ComponentBase, IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    private readonly CancellationTokenSource _left = new();
    private readonly SemaphoreSlim _now = new(0);
    private Task _loop = Task.CompletedTask;

    /// <summary>How long to wait between two requests.</summary>
    protected virtual TimeSpan Interval => TimeSpan.FromSeconds(2);

    /// <summary>Why the latest request failed; null if it did not.</summary>
    protected string? Problem { get; private set; }

    /// <summary>Whether any data has been loaded.</summary>
    protected bool IsLoaded { get; private set; }

    /// <summary>Requests the data and keeps it.</summary>
    protected abstract Task LoadAsync(CancellationToken cancellationToken);

    /// <summary>Requests at once, because other data is wanted now.</summary>
    protected void Reload(bool forget = false)
    {
        IsLoaded &= !forget;
        _now.Release();
    }

    protected override void OnAfterRender(bool firstRender)
    {
        if (firstRender)
        {
            _loop = RunAsync();
        }
    }

    private async Task RunAsync()
    {
        while (!_left.IsCancellationRequested)
        {
            try
            {
                using var patience = CancellationTokenSource.CreateLinkedTokenSource(_left.Token);
                patience.CancelAfter(Patience);
                await LoadAsync(patience.Token).WaitAsync(patience.Token);
                (IsLoaded, Problem) = (true, null);
            }
            catch (OperationCanceledException) when (_left.IsCancellationRequested)
            {
                return;
            }
            catch (Exception exception) when (exception is not OutOfMemoryException)
            {
                Problem = exception is OperationCanceledException ? $"no answer within {Patience.TotalSeconds:0} seconds" : exception.Message;
            }

            StateHasChanged();
            try
            {
                await _now.WaitAsync(Interval, _left.Token);
            }
            catch (OperationCanceledException)
            {
                return;
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _left.CancelAsync();
        await _loop;
        _left.Dispose();
        _now.Dispose();
        GC.SuppressFinalize(this);
    }
}
