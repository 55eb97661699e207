using IommuFd.GrainInterfaces;
using IommuFd.Grains.Journaling;
using IommuFd.Grains.Model;
using IommuFd.Uapi;

namespace IommuFd.Grains.Contexts;

/// <content>Leases: a reference is put where its owner gives no sign of life for the time of a lease.</content>
internal sealed partial class ContextGrain
{
    // Leases are checked so often in the time of one, and so end a part of it late at most.
    private const int ChecksPerLease = 4;

    private IGrainTimer? _leaseTimer;
    private IGrainTimer? _unopened;
    private long _lastCheck;

    private TimeSpan CheckPeriod => options.Value.Lease / ChecksPerLease;

    public Task<RenewReply> RenewAsync(ContextHandle handle, ReferenceId[] references)
    {
        var isAdmitted = Admits(handle);
        if (OpenFor(isAdmitted) is not { } context)
        {
            return Task.FromResult(new RenewReply(ErrnoOf(NotOpen(isAdmitted)), []));
        }

        var now = time.GetTimestamp();
        List<ReferenceId>? gone = null;
        foreach (var id in references.AsSpan(0, Math.Min(references?.Length ?? 0, IoctlLimits.MaxReferences)))
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

        return ConfirmedAsync(new RenewReply(Errno.None, gone?.ToArray() ?? []));
    }

    private async Task SweepAsync()
    {
        _monitored?.Tail.Trim(time.GetTimestamp());
        if (Context is not { } context)
        {
            // Throws where another activation has the context.
            _ = _journal.WhyUnavailable();
            WaitForOpener();
            return;
        }

        if (options.Value.Lease == TimeSpan.Zero)
        {
            return;
        }

        // The lease of a file that an ioctl has opened since the last look begins now.
        foreach (var opened in context.References.Where(static reference => reference.LastSign == 0))
        {
            opened.LastSign = time.GetTimestamp();
        }

        ForgiveStandstill(context);
        foreach (var reference in context.References.Where(reference => time.GetElapsedTime(reference.LastSign) > options.Value.Lease).ToList())
        {
            statistics.CountLeaseExpiry();
            logger.LeaseExpired(Key.Tag, reference.Kind, reference.Id.Value, reference.Name);
            await PutAsync(context, reference.Id);
        }
    }

    // A journal without a record belongs to an opener that got no answer. It repeats its request, unless it is gone.
    private void WaitForOpener()
    {
        if (_journal.IsDurable && options.Value.Lease > TimeSpan.Zero)
        {
            _unopened ??= this.RegisterGrainTimer(ReleaseUnopenedAsync, new GrainTimerCreationOptions(options.Value.Lease, Timeout.InfiniteTimeSpan));
        }
    }

    private async Task ReleaseUnopenedAsync()
    {
        _unopened = null;
        if (Context is null)
        {
            await _journal.ReleaseAsync(new ReleasedReply(default, new PutReply(Errno.None, new ReleaseReport(0, [], []), null)));
        }

        DeactivateUnlessOpen();
    }

    // A silo that was paused or starved has received nothing meanwhile: what owners sent waits behind this check. That time does not count against them.
    private void ForgiveStandstill(ContextModel context)
    {
        var now = time.GetTimestamp();
        var late = time.GetElapsedTime(_lastCheck, now) - CheckPeriod;
        _lastCheck = now;
        if (late <= CheckPeriod)
        {
            return;
        }

        foreach (var reference in context.References)
        {
            reference.LastSign = Math.Min(now, reference.LastSign + (long)(late.TotalSeconds * time.TimestampFrequency));
        }
    }

    // All references have a whole lease when their context starts on a silo.
    private void StartLeases(ContextModel context)
    {
        _lastCheck = time.GetTimestamp();
        foreach (var reference in context.References)
        {
            reference.LastSign = _lastCheck;
        }

        if (options.Value.Lease > TimeSpan.Zero && _leaseTimer is null)
        {
            _leaseTimer = this.RegisterGrainTimer(SweepAsync, new GrainTimerCreationOptions { DueTime = CheckPeriod, Period = CheckPeriod });
        }
    }

    private void StopLeases()
    {
        _leaseTimer?.Dispose();
        _leaseTimer = null;
    }
}
