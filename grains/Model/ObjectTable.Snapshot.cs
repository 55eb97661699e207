using IommuFd.GrainInterfaces;
using IommuFd.Grains.Encoding;

namespace IommuFd.Grains.Model;

// Saving and restoring the table: its entries and ids here, its holds, which references have too, in the ContextModel. Entries are saved in the
// order of their serial numbers, which is that in which they were made. Between turns, no id is reserved.

internal sealed partial class ObjectTable
{
    /// <summary>Saves the entries, without their holds.</summary>
    public EntriesSnapshot Save()
    {
        var (ids, serials, kinds, data) = (new ColumnWriter(), new ColumnWriter(), new ColumnWriter(), new List<EntrySnapshot>());
        foreach (var entry in BySerial())
        {
            ids.Add(entry.Id.Value);
            serials.Add((ulong)entry.Serial);
            var saved = entry.Save();
            kinds.Add(KindOf(entry.Type, saved is not null));
            if (saved is not null)
            {
                data.Add(saved);
            }
        }

        return new EntriesSnapshot
        {
            LastSerial = _lastSerial,
            Ids = ids.ToColumn(),
            Serials = serials.ToColumn(),
            Kinds = kinds.ToColumn(),
            Data = data.Count == 0 ? null : [.. data],
            Tombstones = SaveTombstones(),
        };
    }

    /// <summary>Live objects in the order in which they were made.</summary>
    public IReadOnlyList<ObjectEntry> BySerial()
    {
        var entries = After(0).ToList();
        for (var i = 1; i < entries.Count; i++)
        {
            if (entries[i].Serial < entries[i - 1].Serial)
            {
                entries.Sort(static (left, right) => left.Serial.CompareTo(right.Serial));
                break;
            }
        }

        return entries;
    }

    /// <summary>Makes the entries in an empty table. Their holds come next, and then each is told to find its own.</summary>
    /// <param name="snapshot">What <see cref="Save"/> wrote.</param>
    /// <param name="context">The context, whose table this is.</param>
    /// <param name="objectKinds">The kinds that there are.</param>
    /// <returns>The entries, with what was saved of each.</returns>
    public List<(ObjectEntry Entry, EntrySnapshot? Data)> Restore(EntriesSnapshot snapshot, ContextModel context, ObjectKinds objectKinds)
    {
        var (ids, serials, kinds, data) = (snapshot.Ids.Read(), snapshot.Serials.Read(), snapshot.Kinds.Read(), 0);
        var made = new List<(ObjectEntry, EntrySnapshot?)>();
        while (serials.TryNext(out var serial))
        {
            SnapshotFormat.Require(serial > (ulong)_lastSerial && serial <= (ulong)snapshot.LastSerial, "The serial numbers do not ascend to the last one.");
            _lastSerial = (long)serial;
            var (kind, hasData) = Math.DivRem(kinds.Next<int>(), 2);
            SnapshotFormat.Require(hasData == 0 || data < snapshot.Data?.Length, "There is less data than there are objects with data.");
            var saved = hasData == 0 ? null : SnapshotFormat.Expect<EntrySnapshot>(snapshot.Data![data++]);
            var objectKind = objectKinds.Find((ObjectType)kind) ?? throw SnapshotFormat.Of($"There is no kind {kind} of object.");
            var id = Take(ids.Next<uint>(), snapshot.LastSerial);
            var entry = objectKind.Restore(context, id, _lastSerial, saved);
            _entries[id.Value] = entry;
            Finalize(entry);
            made.Add((entry, saved));
        }

        ids.End();
        kinds.End();
        SnapshotFormat.Require(data == (snapshot.Data?.Length ?? 0), "There is more data than there are objects with data.");
        for (var tombstones = snapshot.Tombstones.Read(); tombstones.TryNext(out var tombstone);)
        {
            Take((uint)Math.Min(tombstone, uint.MaxValue), snapshot.LastSerial);
        }

        _lastSerial = snapshot.LastSerial;
        return made;
    }

    // As many ids were given out as there are serial numbers, the lowest free one each time.
    private ObjectId Take(uint id, long lastSerial)
    {
        SnapshotFormat.Require(id is > 0 and <= IdAllocator.Max && id <= lastSerial && _ids.TryTake(id), "Two objects have one id, or an object has an id that none can have.");
        if (id >= _entries.Length)
        {
            Array.Resize(ref _entries, (int)Math.Min(Math.Max(16, id * 2L), Array.MaxLength));
        }

        return new ObjectId(id);
    }

    private DeltaColumn SaveTombstones()
    {
        if (_ids.Count == Count)
        {
            return default;
        }

        var (tombstones, left) = (new ColumnWriter(), _ids.Count - Count);
        for (uint id = 1; left > 0; id++)
        {
            var entry = id < _entries.Length ? _entries[id] : null;
            if (entry is { IsFinalized: false })
            {
                throw new InvalidOperationException($"{entry.Ref} is reserved: a context can only be saved between turns.");
            }

            if (entry is null && _ids.IsTaken(id))
            {
                tombstones.Add(id);
                left--;
            }
        }

        return tombstones.ToColumn();
    }

    private static ulong KindOf(ObjectType type, bool hasData) => ((ulong)type * 2) + (hasData ? 1UL : 0);
}
