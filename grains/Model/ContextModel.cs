using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Grains.Model;

// The state of a context apart from its objects' own: the kernel's struct iommufd_ctx with its file's reference count. Pure and
// synchronous; the grain calls it in turns.
//
// Always: the context is open exactly while it has a reference. Ioctls are answered while one of them is a file's; a driver's
// alone only puts the release off. A driver's holds belong to its reference and go with it, so that no count outlives the one
// who could drop it.
//
// .References.cs has the references, .Snapshot.cs saves and restores the context.

/// <summary>A context: its table of objects, its options and who refers to it.</summary>
internal sealed partial class ContextModel
{
    private readonly SortedDictionary<long, ContextReference> _references = [];
    private readonly Dictionary<long, Hold> _driverHolds = [];
    private readonly Dictionary<Type, object> _shared = [];
    private int _files;
    private long _lastNumber;

    public ObjectTable Objects { get; } = new();

    /// <summary>The value of IOMMU_OPTION_RLIMIT_MODE.</summary>
    public uint RlimitMode { get; set; }

    /// <summary>The IOAS that VFIO compatibility uses. No users count: destroying it clears it, as in the kernel.</summary>
    public ObjectEntry? CompatIoas { get; set; }

    /// <summary>What <c>IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT</c> has set, in bytes. Nothing here needs memory that it would bound.</summary>
    public uint TempMemoryLimit { get; set; } = 65536;

    public ContextMode Mode { get; private set; }

    /// <summary>When it was opened, in ticks of UTC, as its opener's silo had it; 0 where a version wrote it down that did not know. Nothing is decided by it.</summary>
    public long OpenedTicks { get; private set; }

    public bool IsOpen => _references.Count > 0;

    /// <summary>Whether a file refers to the context, so that it answers ioctls.</summary>
    public bool AnswersIoctls => _files > 0;

    public IReadOnlyCollection<ContextReference> References => _references.Values;

    /// <summary>The drivers' references that hold something.</summary>
    public IEnumerable<ContextReference> HoldingDrivers => _references.Values.Where(reference => reference.FirstHeld is not null);

    /// <summary>Takes the first reference.</summary>
    public ReferenceReply Open(ContextMode mode, string name, long session = 0, long openedTicks = 0)
    {
        if (IsOpen)
        {
            // Asked again by the one who has it.
            if (FindSession(session) is { } opened)
            {
                return new ReferenceReply(Errno.None, opened.Id, default, Mode, null);
            }

            return Refuse(Errno.EEXIST, DiagnosticReason.ContextAlreadyOpen);
        }

        if (!Enum.IsDefined(mode) || !IsName(name))
        {
            return Refuse(Errno.EINVAL, DiagnosticReason.InvalidName);
        }

        (Mode, OpenedTicks) = (mode, openedTicks);
        return Refer(ReferenceKind.File, name, session);
    }

    /// <summary>Takes a further reference.</summary>
    public ReferenceReply Get(ReferenceKind kind, string name, long session = 0)
    {
        if (FindSession(session) is { } taken)
        {
            return new ReferenceReply(Errno.None, taken.Id, default, Mode, null);
        }

        // A file can only be duplicated while there is one; a driver looks the context up by its file too.
        if (!AnswersIoctls)
        {
            return Refuse(Errno.EBADF, DiagnosticReason.ContextNotOpen);
        }

        if (!IsName(name) || !Enum.IsDefined(kind))
        {
            return Refuse(Errno.EINVAL, DiagnosticReason.InvalidName);
        }

        if (_references.Count >= IoctlLimits.MaxReferences)
        {
            return new ReferenceReply(
                Errno.EMFILE, default, default, Mode, Failure.Because(DiagnosticReason.TooManyReferences, limit: IoctlLimits.MaxReferences));
        }

        return Refer(kind, name, session);
    }

    /// <summary>Puts a reference back, with the holds it owns.</summary>
    /// <returns>0, or EBADF without such a reference. The caller releases the context where it is no longer open.</returns>
    public Errno Put(ReferenceId id)
    {
        if (!_references.Remove(id.Value, out var reference))
        {
            return Errno.EBADF;
        }

        while (reference.FirstHeld is { } hold)
        {
            DropHold(hold);
        }

        Unlink(reference);
        if (reference.Kind == ReferenceKind.File)
        {
            _files--;
        }

        _sessions.Remove(reference.Session);
        return Errno.None;
    }

    /// <summary>Takes a reference for a file that an ioctl opens, with the session that reads and writes through it belong to.</summary>
    public ReferenceReply GetFile(string name)
    {
        // A client chooses its sessions, and may have chosen this one.
        var session = FileTarget.SessionOf(new ReferenceId(_lastNumber + 1));
        return FindSession(session) is null ? Get(ReferenceKind.Driver, name, session) : Refuse(Errno.EMFILE, DiagnosticReason.SessionTaken);
    }

    /// <summary>Undoes a reference that no caller has learned of: the next one gets its number, as if it had never existed.</summary>
    public void Abort(ContextReference reference)
    {
        Put(reference.Id);
        _lastNumber -= reference.Id.Value == _lastNumber ? 1 : 0;
    }

    /// <summary>Lets a driver's reference hold an object.</summary>
    public DriverReply HoldObject(ReferenceId id, ObjectId target, ObjectType type, string why)
    {
        if (FindDriver(id) is not { } driver)
        {
            return OperationResult.Fail(Errno.EBADF, DiagnosticReason.ReferenceNotFound).ToDriverReply();
        }

        if (!IsName(why))
        {
            return OperationResult.Fail(Errno.EINVAL, DiagnosticReason.InvalidName).ToDriverReply();
        }

        if (Objects.Find(target.Value, type) is not { } entry)
        {
            return OperationResult.NotFound(Objects, target.Value).ToDriverReply();
        }

        if (entry.IsLeaf)
        {
            return OperationResult.Fail(Errno.EINVAL, DiagnosticReason.LeafObject, entry).ToDriverReply();
        }

        var hold = Hold.RefToUsers(driver, entry, why, new HoldId(++_lastNumber));
        _driverHolds.Add(hold.Id.Value, hold);
        return new DriverReply(Errno.None, entry.Id, Hold: hold.Id);
    }

    /// <summary>The holds that drivers have taken by name.</summary>
    public IReadOnlyCollection<Hold> DriverHolds => _driverHolds.Values;

    /// <summary>A hold that a driver has taken by name, or null.</summary>
    public Hold? FindHold(HoldId id) => _driverHolds.GetValueOrDefault(id.Value);

    /// <summary>Drops a hold of a driver's reference.</summary>
    public DriverReply DropObject(ReferenceId id, HoldId holdId)
    {
        if (FindDriver(id) is not { } driver)
        {
            return OperationResult.Fail(Errno.EBADF, DiagnosticReason.ReferenceNotFound).ToDriverReply();
        }

        if (!_driverHolds.TryGetValue(holdId.Value, out var hold) || hold.Owner != driver)
        {
            return new DriverReply(Errno.ENOENT, Diagnostic: Failure.Because(DiagnosticReason.HoldNotFound, (ulong)holdId.Value));
        }

        DropHold(hold);
        return new DriverReply(Errno.None, Hold: holdId);
    }

    /// <summary>Removes an object without holders (<c>iommufd_object_remove</c>).</summary>
    public Errno Remove(uint id, out ObjectEntry? entry, bool leaveTombstone = false)
    {
        var errno = Objects.Remove(id, leaveTombstone, out entry);
        if (errno == Errno.None && CompatIoas == entry)
        {
            CompatIoas = null;
        }

        return errno;
    }

    /// <summary>What a kind of object keeps for the whole context, such as the groups of devices. Made at the first use.</summary>
    public T Shared<T>()
        where T : class, new()
    {
        if (!_shared.TryGetValue(typeof(T), out var shared))
        {
            _shared.Add(typeof(T), shared = new T());
        }

        return (T)shared;
    }

    private void DropHold(Hold hold)
    {
        _driverHolds.Remove(hold.Id.Value);
        hold.Drop();
    }

    internal static bool IsName(string? name) => name is { Length: > 0 and <= IoctlLimits.MaxNameLength };

    private ReferenceReply Refuse(Errno errno, DiagnosticReason reason) => new(errno, default, default, Mode, Failure.Because(reason));
}
