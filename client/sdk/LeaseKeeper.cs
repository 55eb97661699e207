using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Client;

// A reference lives as long as its owner says so now and then. One loop says so for all of a client's references, a call for each context, spread over
// a third of the lease; it runs while there is a reference. A call that fails is made again soon: there is time for several.

/// <summary>Renews the leases of a client's references. Thread-safe.</summary>
internal sealed class LeaseKeeper(TimeProvider time)
{
    private const int RenewalsPerLease = 3;
    private const int LooksPerRenewal = 8;
    private const int Concurrency = 32;

    private static readonly TimeSpan ShortestPause = TimeSpan.FromMilliseconds(20);

    private readonly Lock _gate = new();
    private readonly Dictionary<ContextHandle, Renewal> _renewals = [];
    private TimeSpan _shortestLease = TimeSpan.MaxValue;
    private bool _isRunning;

    /// <summary>Begins to renew a reference.</summary>
    /// <returns>What ends it; null where the reference needs no renewal.</returns>
    public IDisposable? Keep(ContextHandle handle, IContextGrain grain, ReferenceId reference, TimeSpan lease)
    {
        if (lease <= TimeSpan.Zero)
        {
            return null;
        }

        lock (_gate)
        {
            if (!_renewals.TryGetValue(handle, out var renewal))
            {
                // Contexts that are opened at once are not renewed at once.
                var first = lease / RenewalsPerLease * Random.Shared.NextDouble();
                _renewals.Add(handle, renewal = new Renewal(grain, lease) { Due = Now() + first });
            }

            renewal.References.Add(reference);
            _shortestLease = lease < _shortestLease ? lease : _shortestLease;
            if (!_isRunning)
            {
                _isRunning = true;
                _ = Task.Run(RunAsync);
            }
        }

        return new Kept(() => End(handle, reference));
    }

    private async Task RunAsync()
    {
        while (true)
        {
            TimeSpan pause;
            List<Renewal> due;
            lock (_gate)
            {
                if (_renewals.Count == 0)
                {
                    (_isRunning, _shortestLease) = (false, TimeSpan.MaxValue);
                    return;
                }

                pause = _shortestLease / (RenewalsPerLease * LooksPerRenewal);
                var now = Now();
                due = [.. _renewals.Values.Where(renewal => renewal.Due <= now)];
            }

            await Parallel.ForEachAsync(due, new ParallelOptions { MaxDegreeOfParallelism = Concurrency }, async (renewal, _) => await RenewAsync(renewal));
            await Task.Delay(pause > ShortestPause ? pause : ShortestPause, time);
        }
    }

    private async Task RenewAsync(Renewal renewal)
    {
        ReferenceId[] references;
        lock (_gate)
        {
            references = [.. renewal.References];
        }

        try
        {
            var reply = await renewal.Grain.RenewAsync(references);
            lock (_gate)
            {
                renewal.Due = Now() + (renewal.Lease / RenewalsPerLease);

                // What is gone needs no renewal; whoever uses it learns so by EBADF.
                renewal.References.ExceptWith(reply.Errno == Errno.EBADF ? references : reply.Gone);
            }
        }
#pragma warning disable CA1031 // Whatever it is, the next look tries again; there is nobody to tell.
        catch (Exception)
#pragma warning restore CA1031
        {
        }
    }

    private void End(ContextHandle handle, ReferenceId reference)
    {
        lock (_gate)
        {
            if (_renewals.TryGetValue(handle, out var renewal) && renewal.References.Remove(reference) && renewal.References.Count == 0)
            {
                _renewals.Remove(handle);
            }
        }
    }

    private TimeSpan Now() => time.GetElapsedTime(0);

    private sealed class Renewal(IContextGrain grain, TimeSpan lease)
    {
        public IContextGrain Grain { get; } = grain;

        public TimeSpan Lease { get; } = lease;

        public HashSet<ReferenceId> References { get; } = [];

        /// <summary>When it is renewed next.</summary>
        public TimeSpan Due { get; set; }
    }

    private sealed class Kept(Action end) : IDisposable
    {
        public void Dispose() => end();
    }
}
