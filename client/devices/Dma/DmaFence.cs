namespace IommuFd.Devices;

// Between its translation and its copy, an access of a device knows where memory is. A program that was told that the memory is unmapped may use it for something
// else, and one that has read the dirty bitmap believes that what is clean was not written since. So the answers to ioctls that take memory away, and to those that
// read dirty bits, are given only when the accesses that were under way when the ioctl ran have ended: a pass is taken before an access is translated and given back
// after its copy, and DrainAsync waits for the passes that were taken before. A fence is one per context.

/// <summary>Orders the accesses of devices before the answers to ioctls. Thread-safe.</summary>
public sealed class DmaFence
{
    private readonly Lock _lock = new();
    private Generation _current = new();
    private Task _before = Task.CompletedTask;

    /// <summary>Takes a pass, for an access that begins.</summary>
    /// <returns>The pass, which ends with the access.</returns>
    public Pass Enter()
    {
        lock (_lock)
        {
            _current.Users++;
            return new Pass(this, _current);
        }
    }

    /// <summary>Waits for the accesses that are under way. Those that begin later hold nobody up.</summary>
    /// <returns>Completes when they have ended.</returns>
    public Task DrainAsync()
    {
        lock (_lock)
        {
            if (_current.Users > 0)
            {
                var (left, before) = (_current, _before);
                _current = new Generation();
                _before = before.IsCompleted ? left.Ended.Task : Task.WhenAll(before, left.Ended.Task);
            }

            return _before;
        }
    }

    private void Leave(Generation generation)
    {
        lock (_lock)
        {
            if (--generation.Users == 0 && generation != _current)
            {
                generation.Ended.SetResult();
            }
        }
    }

    /// <summary>A pass of an access.</summary>
    public readonly struct Pass : IDisposable, IEquatable<Pass>
    {
        private readonly DmaFence _fence;
        private readonly Generation _generation;

        internal Pass(DmaFence fence, object generation) => (_fence, _generation) = (fence, (Generation)generation);

        /// <summary>Ends the access. To be called once.</summary>
        public void Dispose() => _fence.Leave(_generation);

        /// <inheritdoc/>
        public bool Equals(Pass other) => _generation == other._generation;

        /// <inheritdoc/>
        public override bool Equals(object? obj) => obj is Pass other && Equals(other);

        /// <inheritdoc/>
        public override int GetHashCode() => _generation.GetHashCode();

        /// <summary>Whether two passes are of one generation.</summary>
        public static bool operator ==(Pass left, Pass right) => left.Equals(right);

        /// <summary>Whether two passes are of different generations.</summary>
        public static bool operator !=(Pass left, Pass right) => !left.Equals(right);
    }

    private sealed class Generation
    {
        public int Users { get; set; }

        public TaskCompletionSource Ended { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
