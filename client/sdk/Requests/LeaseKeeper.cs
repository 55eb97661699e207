using System.Collections.Concurrent;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Client;

// The service puts a reference whose owner gives no sign of life for the time of its lease. Every request is a sign of life. A reference without requests is renewed here
// once in each third of its lease, so that one renewal may fail and the next still comes in time.
//
// A context's handle, which is random, decides when in each third its references are renewed. So renewals are spread evenly, the references of one context share a call, and
// there is no schedule to store. While there is anything to renew, a timer checks several times in each third what has become due.

/// <summary>Renews the leases of a client's references.</summary>
internal sealed class LeaseKeeper
{
    private const int RenewalsPerLease = 3;
    private const int LooksPerRenewal = 16;

    // How many renewals are under way at once: enough to renew very many contexts in time, few enough to leave room for programs' requests.
    private const int Concurrency = 128;

    private static readonly TimeSpan ShortestLook = TimeSpan.FromMilliseconds(5);
    private readonly IommufdClientOptions _options;
    private readonly Lock _lock = new();
    private readonly HashSet<LeasedReference> _references = [];
    private readonly ITimer _timer;
    private readonly long _started;
    private TimeSpan _look = TimeSpan.MaxValue;
    private TimeSpan _lastLook;
    private bool _isRunning;
    private bool _isStopped;
    private int _isLooking;

    public LeaseKeeper(IommufdClientOptions options)
    {
        _options = options;
        _started = options.TimeProvider.GetTimestamp();
        _timer = Timers.Create(options.TimeProvider, static leases => _ = leases.LookAsync(), this);
    }

    /// <summary>How many references are renewed.</summary>
    public int Count
    {
        get
        {
            lock (_lock)
            {
                return _references.Count;
            }
        }
    }

    /// <summary>Renews a reference from now on, if it has a lease.</summary>
    /// <returns>The reference.</returns>
    public LeasedReference Add(LeasedReference reference)
    {
        if (reference.Lease > TimeSpan.Zero)
        {
            lock (_lock)
            {
                _references.Add(reference);
                RunWhileNeeded(reference.Lease);
            }
        }

        return reference;
    }

    /// <summary>Stops renewing a reference, which is about to be put.</summary>
    public void Remove(LeasedReference reference)
    {
        lock (_lock)
        {
            _references.Remove(reference);
            RunWhileNeeded(TimeSpan.MaxValue);
        }
    }

    /// <summary>Stops all renewals.</summary>
    public void Stop()
    {
        lock (_lock)
        {
            _isStopped = true;
            _references.Clear();
            _timer.Dispose();
        }
    }

    // The timer runs as often as the shortest lease needs.
    private void RunWhileNeeded(TimeSpan lease)
    {
        if (_isStopped)
        {
            return;
        }

        var isNeeded = _references.Count > 0;
        var look = lease == TimeSpan.MaxValue ? _look : Max(ShortestLook, lease / (RenewalsPerLease * LooksPerRenewal));
        if (isNeeded && (!_isRunning || look < _look))
        {
            _lastLook = _isRunning ? _lastLook : _options.TimeProvider.GetElapsedTime(_started);
            _timer.Change(look, look);
            _look = look;
        }
        else if (!isNeeded && _isRunning)
        {
            _timer.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
            _look = TimeSpan.MaxValue;
        }

        _isRunning = isNeeded;
    }

    private async Task LookAsync()
    {
        // Only one check runs at a time. If it takes long, the next one finds everything that has become due since.
        if (Interlocked.Exchange(ref _isLooking, 1) == 1)
        {
            return;
        }

        try
        {
            var due = new ConcurrentQueue<LeasedReference[]>(TakeDue());
            await Task.WhenAll(Enumerable.Range(0, Math.Min(due.Count, Concurrency)).Select(_ => RenewAsync(due))).ConfigureAwait(false);
        }
        finally
        {
            Volatile.Write(ref _isLooking, 0);
        }
    }

    private List<LeasedReference[]> TakeDue()
    {
        List<LeasedReference> due = [];
        lock (_lock)
        {
            var now = _options.TimeProvider.GetElapsedTime(_started);
            foreach (var reference in _references)
            {
                if (reference.IsLate || IsDue(reference, _lastLook, now))
                {
                    due.Add(reference);
                }
            }

            _lastLook = now;
        }

        due.RemoveAll(IsAlive);
        return [.. due.GroupBy(reference => reference.Grain.Handle).SelectMany(references => references.Chunk(IoctlLimits.MaxReferences))];
    }

    // Whether the reference's time within the third has come since the last check.
    private static bool IsDue(LeasedReference reference, TimeSpan lastLook, TimeSpan now)
    {
        var third = Math.Max(1, reference.Lease.Ticks / RenewalsPerLease);
        var place = (long)((uint)reference.Grain.Handle.GetHashCode() / (uint.MaxValue + 1.0) * third);
        return (lastLook.Ticks + place) / third != (now.Ticks + place) / third;
    }

    // Whether a request was answered since the last check, which renews the lease.
    private static bool IsAlive(LeasedReference reference)
    {
        var answered = reference.Answered;
        var isAlive = answered != reference.AnsweredBefore && !reference.IsLate;
        reference.AnsweredBefore = answered;
        return isAlive;
    }

    private async Task RenewAsync(ConcurrentQueue<LeasedReference[]> due)
    {
        while (due.TryDequeue(out var references))
        {
            await RenewAsync(references).ConfigureAwait(false);
        }
    }

    private async ValueTask RenewAsync(LeasedReference[] references)
    {
        var isLate = true;
        try
        {
            var renewal = references[0].Grain.RenewAsync(Array.ConvertAll(references, reference => reference.Id));
            Transport.Forget(renewal);
            var reply = await renewal.WaitAsync(_options.AttemptTimeout, _options.TimeProvider).ConfigureAwait(false);
            isLate = reply.Errno is not (Errno.None or Errno.EBADF);
            foreach (var reference in references)
            {
                if (reply.Errno == Errno.EBADF || reply.Gone.Contains(reference.Id))
                {
                    Lose(reference);
                }
            }
        }
        catch (Exception)
        {
            // The program gets the error with its next request. Nothing here could report it.
        }

        foreach (var reference in references)
        {
            reference.IsLate = isLate;
        }
    }

    // A reference that was removed in the meantime was put, and so is not lost.
    private void Lose(LeasedReference reference)
    {
        lock (_lock)
        {
            reference.IsLost |= _references.Remove(reference);
            RunWhileNeeded(TimeSpan.MaxValue);
        }
    }

    private static TimeSpan Max(TimeSpan left, TimeSpan right) => left > right ? left : right;
}
