using IommuFd.GrainInterfaces;
using IommuFd.Grains.Model;
using IommuFd.Uapi;

namespace IommuFd.Grains.Inspection;

// The steps that free an object, found by doing them on a sketch that notes which holds are dropped and which objects are gone. A holder must
// itself be free before it can be destroyed, so its own holders come first. Each kind of hold has one way to be released:
//
//   a driver's named hold        the driver drops it
//   a HWPT on its IOAS           the HWPT is destroyed; an automatic one goes by itself with its last device
//   a device on its HWPT         its driver detaches it; a selftest's device goes with the selftest object, which the program destroys
//   an access on its IOAS        its driver detaches it; one that is a file goes when the program closes that
//   a file on its queue          the program closes it
//   a driver on what it made     the driver unbinds the device, or destroys the access; the object goes with that
//
// Named holds are dropped first: an automatic HWPT without other holders then goes with its last device, and needs no step of its own.
//
// A vDevice goes with its device. Where the device must go anyway, for what it holds, it goes when the vDevice would be destroyed. So the steps are found twice
// then: first without knowing which devices must go.

/// <summary>Says why an object is busy, and what to do about it. Reads only, in one step.</summary>
internal sealed class BusyExplainer
{
    private readonly List<BusyStep> _steps = [];
    private readonly HashSet<Hold> _dropped = [];
    private readonly HashSet<ObjectEntry> _gone = [];
    private readonly Dictionary<ObjectEntry, long> _users = [];
    private readonly Dictionary<ObjectEntry, HoldOwner> _companions = [];
    private readonly Dictionary<ObjectEntry, HoldOwner> _ends;
    private HashSet<ObjectRef> _frees = [];

    /// <param name="ends">Who goes anyway, and ends what it made with these companions.</param>
    private BusyExplainer(Dictionary<ObjectEntry, HoldOwner> ends) => _ends = ends;

    private bool IsFull => _steps.Count > BusyExplanation.MaxSteps;

    /// <summary>Explains an object; ENOENT where there is none of this id.</summary>
    public static BusyExplanation Explain(ContextModel context, ObjectId id)
    {
        if (context.Objects.Find(id.Value) is not { } entry)
        {
            return new BusyExplanation(Errno.ENOENT, new ObjectRef(ObjectType.Any, id), 0, [], false);
        }

        var explainer = new BusyExplainer([]);
        explainer.Free(entry);
        if (explainer._companions.Count > 0)
        {
            explainer = new BusyExplainer(explainer._companions);
            explainer.Free(entry);
        }

        return new BusyExplanation(Errno.None, entry.Ref, entry.Users, [.. explainer._steps.Take(BusyExplanation.MaxSteps)], explainer.IsFull)
        {
            GoesWithLastStep = !explainer.IsFull && explainer._gone.Contains(entry),
        };
    }

    private void Free(ObjectEntry entry)
    {
        foreach (var hold in Holders(entry).Where(IsNamed))
        {
            Do(BusyStepKind.DropHold, entry, hold, () => Drop(hold));
        }

        foreach (var hold in Holders(entry).Where(hold => !IsNamed(hold)))
        {
            Release(entry, hold);
        }
    }

    private void Release(ObjectEntry entry, Hold hold)
    {
        if (hold.Owner is not ObjectEntry holder)
        {
            if (entry.Kind.EndedByDriver is { } step)
            {
                Do(step, entry, hold, () => End((DriverOwnedEntry)entry));
            }
            else
            {
                Do(BusyStepKind.CloseFile, entry, hold, () => Drop(hold));
            }

            return;
        }

        var release = holder.Kind.ReleaseOf(holder, hold);
        switch (release.Effect)
        {
            case HoldReleaseEffect.Destroy:
                Destroy(release.Entry, hold);
                break;
            case HoldReleaseEffect.EndHolder:
                Do(release.Step, release.Entry, hold, () => End((DriverOwnedEntry)release.Entry), release.Pasid);
                break;
            default:
                Do(release.Step, release.Entry, hold, () => Drop(hold), release.Pasid);
                break;
        }
    }

    private void Destroy(ObjectEntry entry, Hold hold)
    {
        entry = _ends.GetValueOrDefault(entry) as ObjectEntry ?? entry;
        Free(entry);
        if (!_gone.Contains(entry))
        {
            Do(BusyStepKind.Destroy, entry, hold, () => Remove(entry));
        }
    }

    private void Do(BusyStepKind kind, ObjectEntry entry, Hold hold, Action change, uint pasid = 0)
    {
        if (IsFull)
        {
            return;
        }

        _frees = [];
        change();
        var owner = kind == BusyStepKind.Destroy ? null : hold.Owner is DriverOwnedEntry driven ? driven.DriverHold?.Owner : hold.Owner;
        var driver = owner as ContextReference;
        _steps.Add(new BusyStep(kind, entry.Ref, driver?.Id ?? default, hold.Id, driver?.Name ?? "", hold.Why, [.. _frees.Take(IoctlLimits.MaxListed)]) { Pasid = pasid, FreeCount = _frees.Count });
    }

    // The remaining holds. An object that is still being built is left out: no request can name it.
    private IEnumerable<Hold> Holders(ObjectEntry entry)
    {
        for (var hold = entry.FirstHolder; hold is not null && !IsFull; hold = hold.NextHolder)
        {
            if (!_dropped.Contains(hold) && hold.Owner is not ObjectEntry { IsFinalized: false })
            {
                yield return hold;
            }
        }
    }

    private void Drop(Hold hold)
    {
        if (!_dropped.Add(hold))
        {
            return;
        }

        var target = hold.Target;
        NoteFreed(target);
        var users = _users[target] = _users.GetValueOrDefault(target, target.Users) - 1;
        if (users == 1 && target.Kind.GoesWith(target, hold.Owner))
        {
            Remove(target);
        }
    }

    // A driver ends what it made; nothing else holds it.
    private void End(DriverOwnedEntry entry)
    {
        Remove(entry);
        if (entry.DriverHold is { } hold)
        {
            _dropped.Add(hold);
            if (entry.Companion is { } companion)
            {
                _companions.TryAdd(companion, hold.Owner);
                Remove(companion);
            }
        }
    }

    private void Remove(ObjectEntry entry)
    {
        if (!_gone.Add(entry))
        {
            return;
        }

        NoteFreed(entry);
        foreach (var hold in entry.Held())
        {
            if (hold.Target is DriverOwnedEntry made && made.DriverHold == hold)
            {
                End(made);
            }
            else
            {
                Drop(hold);
            }
        }
    }

    // Once, however many holds one step drops: a device may hold a HWPT for itself and for PASIDs.
    private void NoteFreed(ObjectEntry entry) => _frees.Add(entry.Ref);

    private static bool IsNamed(Hold hold) => hold.Id != default;
}
