using IommuFd.Uapi;

namespace IommuFd.Linearizability;

// What a client observed of a context: which ioctl it sent and when, when the answer arrived, and what it was. Times are Stopwatch
// timestamps, which count from the machine's start (CLOCK_MONOTONIC), so that those of different processes can be compared.

/// <summary>An ioctl as sent.</summary>
/// <param name="Command">The full ioctl number.</param>
/// <param name="Argument">The argument's bytes.</param>
internal readonly record struct Ioctl(uint Command, byte[] Argument)
{
    /// <summary>An ioctl whose argument is a struct; its size is filled in.</summary>
    public static Ioctl Of<T>(IommuCommand command, in T argument)
        where T : unmanaged
    {
        var bytes = UapiStruct.ToBytes(in argument);
        BitConverter.TryWriteBytes(bytes, bytes.Length);
        return new Ioctl((uint)command, bytes);
    }

    /// <summary>Whether the other asks for the same, byte for byte.</summary>
    public bool Equals(Ioctl other) => Command == other.Command && Argument.AsSpan().SequenceEqual(other.Argument);

    /// <inheritdoc/>
    public override int GetHashCode()
    {
        var hash = default(HashCode);
        hash.Add(Command);
        hash.AddBytes(Argument);
        return hash.ToHashCode();
    }
}

/// <summary>The answer.</summary>
/// <param name="Errno">The errno.</param>
/// <param name="Argument">The bytes that were copied back to the start of the argument; empty for none.</param>
internal readonly record struct IoctlAnswer(Errno Errno, byte[] Argument)
{
    /// <summary>An answer with only an errno.</summary>
    public IoctlAnswer(Errno errno)
        : this(errno, [])
    {
    }

    /// <summary>Whether the other is the same, byte for byte.</summary>
    public bool Equals(IoctlAnswer other) => Errno == other.Errno && Argument.AsSpan().SequenceEqual(other.Argument);

    /// <inheritdoc/>
    public override int GetHashCode()
    {
        var hash = default(HashCode);
        hash.Add(Errno);
        hash.AddBytes(Argument);
        return hash.ToHashCode();
    }
}

/// <summary>One operation of one client.</summary>
internal sealed record HistoryEntry
{
    /// <summary>The client.</summary>
    public required int Client { get; init; }

    /// <summary>A time before it was sent.</summary>
    public required long Invoked { get; init; }

    /// <summary>
    /// A time after its answer arrived. Null if none did: it may have run at any time since it was sent, may yet run, or never.
    /// </summary>
    public long? Completed { get; init; }

    /// <summary>The ioctl.</summary>
    public required Ioctl Ioctl { get; init; }

    /// <summary>The answer; meaningless if none came.</summary>
    public IoctlAnswer Answer { get; init; } = new(Errno.None);
}
