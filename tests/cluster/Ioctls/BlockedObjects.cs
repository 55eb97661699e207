using IommuFd.Grains.Objects.Ioas;

namespace IommuFd.ClusterTests.Ioctls;

/// <summary>Stops calls of object grains at a gate, so that a test can look at a context while its turn runs.</summary>
internal sealed class BlockedObjects : IIncomingGrainCallFilter
{
    private readonly TaskCompletionSource _gate = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _arrived = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Completes when the first call stands at the gate.</summary>
    public Task Arrived => _arrived.Task;

    public void Open() => _gate.TrySetResult();

    public async Task Invoke(IIncomingGrainCallContext context)
    {
        if (context.InterfaceMethod.Name == nameof(IIoasGrain.HugePagesAsync))
        {
            _arrived.TrySetResult();
            await _gate.Task;
        }

        await context.Invoke();
    }
}
