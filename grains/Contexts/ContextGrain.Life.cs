using IommuFd.GrainInterfaces;
using IommuFd.Grains.Journaling;
using IommuFd.Grains.Model;
using IommuFd.Grains.Monitoring;
using IommuFd.Uapi;

namespace IommuFd.Grains.Contexts;

/// <content>How long a context lives here: what begins and ends with it, and the leases of its references.</content>
internal sealed partial class ContextGrain
{
    // A lease is looked at so often in its time; it is over by as much later at most.
    private const int LooksPerLease = 4;

    private IGrainTimer? _leaseTimer;
    private long _lastLook;
    private long? _client;

    private TimeSpan LookPeriod => options.Value.Lease / LooksPerLease;

    public Task<RenewReply> RenewAsync(ReferenceId[] references)
    {
        if (_context is not { } context)
        {
            return Task.FromResult(new RenewReply(ErrnoOf(NotOpen()), []));
        }

        var now = time.GetTimestamp();
        List<ReferenceId>? gone = null;
        foreach (var id in references.AsSpan(0, Math.Min(references.Length, IoctlLimits.MaxReferences)))
        {
            if (context.Find(id) is { } reference)
            {
                reference.LastSign = now;
            }
            else
            {
                (gone ??= []).Add(id);
            }
        }

        return Task.FromResult(new RenewReply(Errno.None, gone?.ToArray() ?? []));
    }

    public async Task SweepAsync()
    {
        _monitored?.Tail.Trim(time.GetTimestamp());
        if (_context is not { } context)
        {
            // A journal without a record is that of an opener who got no answer, and asks no more.
            await EndJournalAsync(new ReleasedReply(default, new PutReply(Errno.None, new ReleaseReport(0, [], []), null)));
            LeaveUnlessOpen();
            return;
        }

        if (options.Value.Lease == TimeSpan.Zero)
        {
            return;
        }

        ForgiveStandstill(context);
        foreach (var reference in context.References.Where(reference => time.GetElapsedTime(reference.LastSign) > options.Value.Lease).ToList())
        {
            statistics?.CountLeaseExpiry();
            logger.LeaseExpired(Handle.ToShortString(), reference.Kind, reference.Id.Value, reference.Name);
            await PutAsync(context, reference.Id);
        }
    }

    // A silo that stood still, paused or starved, has heard nobody meanwhile: what its owners sent waits behind this look. The time does not count against them.
    private void ForgiveStandstill(ContextModel context)
    {
        var now = time.GetTimestamp();
        var late = time.GetElapsedTime(_lastLook, now) - LookPeriod;
        _lastLook = now;
        if (late <= LookPeriod)
        {
            return;
        }

        foreach (var reference in context.References)
        {
            reference.LastSign = Math.Min(now, reference.LastSign + (long)(late.TotalSeconds * time.TimestampFrequency));
        }
    }

    private void Begin()
    {
        _monitored = new MonitoredContext(Handle, _context!, time, statistics);
        directory?.Add(_monitored);
        _context!.Objects.MaxObjects = options.Value.MaxObjects;
        _context.MaxAreas = options.Value.MaxAreas;
        var now = time.GetTimestamp();
        foreach (var reference in _context.References)
        {
            reference.LastSign = now;
        }

        _lastLook = now;
        if (options.Value.Lease > TimeSpan.Zero && _leaseTimer is null)
        {
            _leaseTimer = this.RegisterGrainTimer(SweepAsync, new GrainTimerCreationOptions { DueTime = LookPeriod, Period = LookPeriod });
        }
    }

    private ReferenceReply? Count(long client)
    {
        if (census is null || _client is not null)
        {
            return null;
        }

        if (census.TryAdd(client, out var limit) is var errno && errno != Errno.None)
        {
            return new ReferenceReply(errno, default, default, default, Failure.Because(DiagnosticReason.TooManyReferences, limit: (ulong)limit));
        }

        _client = client;
        return null;
    }

    private void CountNoMore()
    {
        if (_client is { } client)
        {
            census?.Remove(client);
            _client = null;
        }

        if (_monitored is { } monitored)
        {
            directory?.Remove(monitored);
            _monitored = null;
        }
    }
}
