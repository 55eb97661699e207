using IommuFd.Grains.Journaling;

namespace IommuFd.Silo.Journals;

/// <summary>What every store refuses before it asks its database, and the bounds of one answer.</summary>
internal static class JournalLimits
{
    /// <summary>PostgreSQL takes values below 1 GiB, and SQLite too unless told otherwise.</summary>
    public const int MaxFrameBytes = 512 * 1024 * 1024;

    /// <summary>The most records of one <see cref="IJournalStore.ReadAsync"/>, whatever their sizes.</summary>
    public const int MaxRecords = 4096;

    /// <summary>The most journals of one <see cref="IJournalStore.ListAsync"/>.</summary>
    public const int MaxInfos = 4096;

    /// <summary>How many released contexts one transaction forgets, so that none holds up others for long.</summary>
    public const int MaxPurged = 1024;

    private const int MaxOwnerChars = 256;

    /// <summary>The bytes that a write brings.</summary>
    public static int Bytes(JournalWrite write) => Frame(write)?.Length ?? 0;

    /// <summary>The frame that a write brings; null where it brings none.</summary>
    public static byte[]? Frame(JournalWrite write) => write switch
    {
        AppendRecord append => append.Frame,
        StoreSnapshot snapshot => snapshot.Frame,
        ReleaseJournal release => release.Frame,
        _ => null,
    };

    /// <summary>Refuses a write that no store can make.</summary>
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
                throw new ArgumentException($"A store can't make a {write.GetType().Name}.", nameof(write));
        }

        var bytes = Frame(write) ?? throw new ArgumentException($"A {write.GetType().Name} has no frame.", nameof(write));
        if (bytes.Length > MaxFrameBytes)
        {
            throw new ArgumentOutOfRangeException(nameof(write), $"A frame of context {write.Handle.ToShortString()} has {bytes.Length} bytes, a store takes {MaxFrameBytes} at most.");
        }
    }

    /// <summary>Refuses a commit in which a context has two writes, or one that no store can make.</summary>
    public static void CheckWrites(IReadOnlyList<JournalWrite> writes)
    {
        ArgumentNullException.ThrowIfNull(writes);
        var handles = new HashSet<Guid>(writes.Count);
        foreach (var write in writes)
        {
            CheckWrite(write);
            if (!handles.Add(write.Handle.Value))
            {
                throw new ArgumentException($"Context {write.Handle.ToShortString()} has two writes in one commit.", nameof(writes));
            }
        }
    }

    /// <summary>Refuses a write at a place that the snapshot has: what is written there nobody would read.</summary>
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
            throw new JournalStoreException($"Context {write.Handle.ToShortString()} has a snapshot at position {snapshotPosition} and can't have a {write.GetType().Name} behind it.");
        }
    }

    /// <summary>Refuses an owner's name that can't be kept, or shown.</summary>
    public static void CheckOwner(string owner)
    {
        ArgumentException.ThrowIfNullOrEmpty(owner);
        if (owner.Length > MaxOwnerChars || owner.Any(character => char.IsControl(character) || char.IsSurrogate(character)))
        {
            throw new ArgumentException($"An owner's name has {MaxOwnerChars} characters at most, none of them a control character or a surrogate.", nameof(owner));
        }
    }
}
