using System.Collections.Concurrent;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Client;

// A reference is given back by the service where its owner gives no sign of life for the time of its lease. A request is such a sign; for those that ask nothing, this
// renews a third of the lease after the last, so that one renewal may fail and the next still comes in time.
//
// Contexts are spread over the third by their handles, which are random: each has its place in it, so that its references, which share it, travel in
// one call, and nothing has to be remembered. A timer looks some times in that third, while there is anything to renew.

/// <summary>Renews the leases of a client's references.</summary>
internal sealed class LeaseKeeper
{
    private const int RenewalsPerLease = 3;
    private const int LooksPerRenewal = 16;

    // Renewals under way at once: enough to renew very many contexts in the time, few enough to leave programs their turn.
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

    /// <summary>References that are kept alive.</summary>
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

    /// <summary>Keeps a reference alive from now on, if its lease asks for that.</summary>
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

    /// <summary>Lets a reference go: it is being put back.</summary>
    public void Remove(LeasedReference reference)
    {
        lock (_lock)
        {
            _references.Remove(reference);
            RunWhileNeeded(TimeSpan.MaxValue);
        }
    }

    /// <summary>Renews nothing any more.</summary>
    public void Stop()
    {
        lock (_lock)
        {
            _isStopped = true;
            _references.Clear();
            _timer.Dispose();
        }
    }

    // Looks as often as the shortest lease needs.
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
        // One that takes long is not overtaken: the next one looks at what has become due since.
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
        return [.. due.GroupBy(reference => reference.Context).SelectMany(references => references.Chunk(IoctlLimits.MaxReferences))];
    }

    // Whether its place in the third has come.
    private static bool IsDue(LeasedReference reference, TimeSpan lastLook, TimeSpan now)
    {
        var third = Math.Max(1, reference.Lease.Ticks / RenewalsPerLease);
        var place = (long)((uint)reference.Context.GetHashCode() / (uint.MaxValue + 1.0) * third);
        return (lastLook.Ticks + place) / third != (now.Ticks + place) / third;
    }

    // Whether a request has told the service so already.
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
            // Whatever it was, the program sees it with its next request. Here there is nobody to tell.
        }

        foreach (var reference in references)
        {
            reference.IsLate = isLate;
        }
    }

    // One that was let go in the meantime is gone because of that.
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
