using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Grains.Model;

// A context's objects by id, and the users counts between them: the kernel's xarray with its refcounts. Called from the
// context's turns only, one at a time, which is all the locking there is.
//
// An id is free, reserved (taken, no request can see its object), live, or a tombstone (taken, and no object will ever have it).
// An object is built between Reserve and Finalize; if a step in between fails, Abort undoes the reservation, or AbortAndDestroy
// also drops what the object already holds. After Finalize nothing may fail.
//
// Always: ids are dense, since the lowest free one is taken first, so that a plain array indexed by id is as large as the most
// objects that lived at once.
//
// .Snapshot.cs saves and restores the table.

/// <summary>The objects of a context.</summary>
internal sealed partial class ObjectTable
{
    // An empty table gives its room back, unless it is so little that allocating it again would cost more.
    private const int KeptWhenEmpty = 1024;

    // One more than there are kinds: objects of tests are of none.
    private static readonly int Types = Enum.GetValues<ObjectType>().Length + 1;

    private readonly IdAllocator _ids = new();
    private readonly int[] _counts = new int[Types];
    private ObjectEntry?[] _entries = [];
    private long _lastSerial;

    /// <summary>How many ids can be taken at once. A per-silo limit, not part of the context's state: replay and restore ignore it.</summary>
    public int MaxObjects { get; set; } = int.MaxValue;

    /// <summary>Where the running ioctl may be made to fail.</summary>
    public FailurePoints FailurePoints { get; } = new();

    /// <summary>Objects that requests can see.</summary>
    public int Count { get; private set; }

    private bool IsAtLimit => MaxObjects < IdAllocator.Max && _ids.Count >= MaxObjects;

    /// <summary>Whether no id is taken: no object, no reservation and no tombstone (the kernel's <c>xa_empty</c>).</summary>
    public bool IsEmpty => _ids.Count == 0;

    /// <summary>Takes the lowest free id for an object that is about to be built. Null where there is no room (<see cref="NoRoom"/>).</summary>
    /// <param name="create">Makes the object's entry of its id and its serial number.</param>
    public T? Reserve<T>(Func<ObjectId, long, T> create)
        where T : ObjectEntry
    {
        if (!FailurePoints.Pass().Succeeded || IsAtLimit || !_ids.TryAllocate(out var id))
        {
            return null;
        }

        if (id >= _entries.Length)
        {
            Array.Resize(ref _entries, (int)Math.Min(Math.Max(16, id * 2L), Array.MaxLength));
        }

        var entry = create(new ObjectId(id), ++_lastSerial);
        _entries[id] = entry;
        return entry;
    }

    /// <summary>Why <see cref="Reserve"/> failed: ENOMEM where the context has as many objects as it can, EBUSY where every id is taken.</summary>
    public OperationResult NoRoom() => !FailurePoints.Failed.Succeeded ? FailurePoints.Failed
        : IsAtLimit ? new(Errno.ENOMEM, default, Failure.Because(DiagnosticReason.TooManyObjects, limit: (ulong)MaxObjects))
        : OperationResult.Fail(Errno.EBUSY, DiagnosticReason.NoFreeId);

    /// <summary>Makes a reserved object visible.</summary>
    public void Finalize(ObjectEntry entry)
    {
        entry.IsFinalized = true;
        Count++;
        _counts[Place(entry.Type)]++;
    }

    /// <summary>Gives back the id of a reserved object that holds nothing.</summary>
    public void Abort(ObjectEntry entry)
    {
        if (entry.IsFinalized || entry.FirstHeld is not null || entry.FirstHolder is not null)
        {
            throw new InvalidOperationException($"{entry.Ref} can't be aborted: it is finalized, or in the graph.");
        }

        Free(entry.Id.Value);
    }

    /// <summary>Drops what a reserved object holds, and gives back its id.</summary>
    public void AbortAndDestroy(ObjectEntry entry)
    {
        DropHeld(entry);
        Abort(entry);
    }

    /// <summary>Finds a live object of any type.</summary>
    public ObjectEntry? Find(uint id)
        => id < _entries.Length && _entries[id] is { IsFinalized: true } entry ? entry : null;

    /// <summary>Finds a live object of a kind by the class of its entry.</summary>
    public T? Find<T>(uint id)
        where T : ObjectEntry
        => Find(id) as T;

    /// <summary>Finds a live object of a type; <see cref="ObjectType.Any"/> takes every type.</summary>
    public ObjectEntry? Find(uint id, ObjectType type)
        => Find(id) is { } entry && (type == ObjectType.Any || entry.Type == type) ? entry : null;

    /// <summary>
    /// Removes an object without holders, and drops what it holds (the kernel's <c>iommufd_object_remove</c>). ENOENT without such an object, EBUSY
    /// where it is held; then nothing changes.
    /// </summary>
    /// <param name="id">The id.</param>
    /// <param name="leaveTombstone">Whether the id stays taken for the rest of the context's life.</param>
    /// <param name="entry">The object, also where it is held.</param>
    public Errno Remove(uint id, bool leaveTombstone, out ObjectEntry? entry)
    {
        entry = Find(id);
        if (entry is null)
        {
            return Errno.ENOENT;
        }

        if (entry.Users != 1)
        {
            return Errno.EBUSY;
        }

        RemoveUnheld(entry, leaveTombstone);
        return Errno.None;
    }

    /// <summary>Objects of a kind that requests can see. Can be read at any time, from anywhere.</summary>
    public int CountOf(ObjectType type) => _counts[Place(type)];

    /// <summary>Adds the holds on each kind of object up. Can be called at any time, from anywhere; what changes meanwhile is counted or not.</summary>
    /// <param name="holds">The sums, by kind.</param>
    public void CountHolds(Span<long> holds)
    {
        foreach (var entry in _entries)
        {
            if (entry is { IsFinalized: true })
            {
                holds[Place(entry.Type)] += entry.Users - 1;
            }
        }
    }

    /// <summary>Live objects with ids greater than <paramref name="after"/>, ascending.</summary>
    public IEnumerable<ObjectEntry> After(uint after)
    {
        for (var id = after + 1L; id < _entries.Length; id++)
        {
            if (_entries[id] is { IsFinalized: true } entry)
            {
                yield return entry;
            }
        }
    }

    /// <summary>
    /// Empties the table: destroys each object once it has no holder, so that leaves go first. Looks at each object and each hold once, and follows an object to
    /// what it held before it goes on to the next, since what was made together lies together in memory. What is still held at the end holds itself in a
    /// circle, which is a bug; it goes too.
    /// </summary>
    /// <returns>The objects in the order of their destruction, and those that were stuck.</returns>
    public (List<ObjectEntry> Destroyed, List<ObjectEntry> Stuck) Release()
    {
        var destroyed = new List<ObjectEntry>(Count);
        var free = new Stack<ObjectEntry>();
        for (var id = 0; id < _entries.Length; id++)
        {
            if (_entries[id] is not { IsFinalized: true, Users: 1 } leaf)
            {
                continue;
            }

            free.Push(leaf);
            while (free.TryPop(out var entry))
            {
                for (var hold = entry.FirstHeld; hold is not null; hold = hold.NextHeld)
                {
                    if (--hold.Target.Users == 1)
                    {
                        free.Push(hold.Target);
                    }
                }

                entry.Forget();
                destroyed.Add(entry);
            }
        }

        // Holds of what is gone were not taken out of the lists of what they held: nearly always that goes too.
        var stuck = After(0).ToList();
        stuck.ForEach(entry => entry.ForgetGoneHolders());
        _entries = [];
        _ids.Clear();
        Count = 0;
        Array.Clear(_counts);
        return (destroyed, stuck);
    }

    private static int Place(ObjectType type) => Math.Min((int)type, Types - 1);

    private void RemoveUnheld(ObjectEntry entry, bool leaveTombstone)
    {
        DropHeld(entry);
        Count--;
        _counts[Place(entry.Type)]--;
        _entries[entry.Id.Value] = null;
        if (!leaveTombstone)
        {
            Free(entry.Id.Value);
        }
    }

    private static void DropHeld(ObjectEntry entry)
    {
        while (entry.FirstHeld is { } hold)
        {
            hold.Drop();
        }
    }

    private void Free(uint id)
    {
        _entries[id] = null;
        _ids.Free(id);
        if (_ids.Count == 0 && _entries.Length > KeptWhenEmpty)
        {
            _entries = [];
        }
    }
}
