using Microsoft.AspNetCore.Components;

namespace IommuFd.Silo.Dashboard.Components;

// A page that shows what changes asks again and again, one question after the other, from when it is there in a browser until it is left. Before that, while its
// first HTML is made, it asks nothing.

/// <summary>A page that is asked for anew every so often.</summary>
public abstract class LiveComponent : ComponentBase, IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    private readonly CancellationTokenSource _left = new();
    private readonly SemaphoreSlim _now = new(0);
    private Task _loop = Task.CompletedTask;

    /// <summary>How long to wait between two questions.</summary>
    protected virtual TimeSpan Interval => TimeSpan.FromSeconds(2);

    /// <summary>Why it is not known how things are now; null where it is.</summary>
    protected string? Problem { get; private set; }

    /// <summary>Whether anything is known yet.</summary>
    protected bool IsLoaded { get; private set; }

    /// <summary>Asks, and keeps what is answered.</summary>
    protected abstract Task LoadAsync(CancellationToken cancellationToken);

    /// <summary>Asks at once, since something else is wanted now.</summary>
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
                Problem = exception is OperationCanceledException ? $"no answer in {Patience.TotalSeconds:0} seconds" : exception.Message;
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
