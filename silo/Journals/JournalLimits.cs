using IommuFd.Grains.Journaling;

namespace IommuFd.Silo.Journals;

/// <summary>Limits that every store checks before it asks its database, and the bounds of one result.</summary>
internal static class JournalLimits
{
    /// <summary>PostgreSQL accepts values below 1 GiB, and so does SQLite by default.</summary>
    public const int MaxFrameBytes = 512 * 1024 * 1024;

    /// <summary>The most records that one <see cref="IJournalStore.ReadAsync"/> returns, whatever their sizes.</summary>
    public const int MaxRecords = 4096;

    /// <summary>The most journals that one <see cref="IJournalStore.ListAsync"/> returns.</summary>
    public const int MaxInfos = 4096;

    /// <summary>The most released contexts that one transaction deletes, so that it never blocks other writes for long.</summary>
    public const int MaxPurged = 1024;

    private const int MaxOwnerChars = 256;

    /// <summary>The size of a write's frame in bytes.</summary>
    public static int Bytes(JournalWrite write) => Frame(write)?.Length ?? 0;

    /// <summary>A write's frame; null if it has none.</summary>
    public static byte[]? Frame(JournalWrite write) => write switch
    {
        AppendRecord append => append.Frame,
        StoreSnapshot snapshot => snapshot.Frame,
        ReleaseJournal release => release.Frame,
        _ => null,
    };

    /// <summary>Rejects a write that no store can make.</summary>
    public static void CheckWrite(JournalWrite write)
    {
        ArgumentNullException.ThrowIfNull(write);
        switch (write)
        {
            case ConfirmEpoch:
                return;

            case AppendRecord append:
                ArgumentOutOfRangeException.ThrowIfLessThan(append.Position, 1, nameof(write));
                break;

            case StoreSnapshot snapshot:
                ArgumentOutOfRangeException.ThrowIfNegative(snapshot.Position, nameof(write));
                break;

            case ReleaseJournal:
                break;

            default:
                throw new ArgumentException($"Stores do not support {write.GetType().Name}.", nameof(write));
        }

        var bytes = Frame(write) ?? throw new ArgumentException($"A {write.GetType().Name} has no frame.", nameof(write));
        if (bytes.Length > MaxFrameBytes)
        {
            throw new ArgumentOutOfRangeException(nameof(write), $"A frame of context {write.Key.Tag} has {bytes.Length} bytes; the limit is {MaxFrameBytes}.");
        }
    }

    /// <summary>Rejects a commit with two writes of one context, or with a write that no store can make.</summary>
    public static void CheckWrites(IReadOnlyList<JournalWrite> writes)
    {
        ArgumentNullException.ThrowIfNull(writes);
        var keys = new HashSet<Guid>(writes.Count);
        foreach (var write in writes)
        {
            CheckWrite(write);
            if (!keys.Add(write.Key.Value))
            {
                throw new ArgumentException($"Context {write.Key.Tag} has two writes in one commit.", nameof(writes));
            }
        }
    }

    /// <summary>Rejects a write at a position that the snapshot covers: no replay would read it.</summary>
    public static void CheckPlace(JournalWrite write, long snapshotPosition)
    {
        var position = write switch
        {
            AppendRecord append => append.Position - 1,
            StoreSnapshot snapshot => snapshot.Position,
            _ => long.MaxValue,
        };
        if (position < snapshotPosition)
        {
            throw new JournalStoreException($"The snapshot of context {write.Key.Tag} at position {snapshotPosition} already covers the position of this {write.GetType().Name}.");
        }
    }

    /// <summary>Rejects an owner's name that can't be stored or shown.</summary>
    public static void CheckOwner(string owner)
    {
        ArgumentException.ThrowIfNullOrEmpty(owner);
        if (owner.Length > MaxOwnerChars || owner.Any(character => char.IsControl(character) || char.IsSurrogate(character)))
        {
            throw new ArgumentException($"An owner's name must have at most {MaxOwnerChars} characters, and no control characters or surrogates.", nameof(owner));
        }
    }
}
