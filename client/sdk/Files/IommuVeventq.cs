using System.Runtime.CompilerServices;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Client;

/// <summary>A queue of a vIOMMU's events with its open file. Disposing closes the file; the object can be destroyed then. Thread-safe.</summary>
public sealed class IommuVeventq : IAsyncDisposable
{
    // Many events: those that fit come with one read.
    private const int ReadBytes = 4096;

    private static readonly int HeaderBytes = Unsafe.SizeOf<IommufdVeventHeader>();
    private readonly QueueReader<Vevent> _reader;
    private readonly int _dataBytes;

    // The number that the next event has, unless events are lost.
    private uint _next;

    internal IommuVeventq(ObjectId id, IommuVeventqType type, IommuFile file)
    {
        (Id, Type, File) = (id, type, file);
        _dataBytes = type switch
        {
            IommuVeventqType.ArmSmmuv3 => Unsafe.SizeOf<IommuVeventArmSmmuv3>(),
            IommuVeventqType.Selftest => Unsafe.SizeOf<IommuViommuEventSelftest>(),
            _ => 0,
        };
        _reader = new QueueReader<Vevent>(file, new byte[ReadBytes], Decode);
    }

    /// <summary>The queue's id in ioctls.</summary>
    public ObjectId Id { get; }

    /// <summary>The kind of the events.</summary>
    public IommuVeventqType Type { get; }

    /// <summary>The file, for raw reads. What is read through it does not come through <see cref="ReadAllAsync"/>, which counts it as lost.</summary>
    public IommuFile File { get; }

    /// <summary>
    /// Reads events as they arrive, without end. The queue is read only when the program asks for an event and none is left of the read before.
    /// Several enumerations, at once or one after the other, share the events.
    /// </summary>
    /// <param name="cancellationToken">Ends the enumeration. No event is lost: the next enumeration gets what was being read.</param>
    /// <returns>The events, each with the number of those that were lost before it.</returns>
    /// <exception cref="NotSupportedException">The events are of a kind whose length only later versions know.</exception>
    /// <exception cref="IommufdException">EBADF if the file is closed, or if the context was lost.</exception>
    /// <exception cref="IommufdTransportException">No answer came. Events may have been read, and are lost then.</exception>
    /// <exception cref="InvalidDataException">The service answered what are no events.</exception>
    public async IAsyncEnumerable<Vevent> ReadAllAsync([EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        if (_dataBytes == 0)
        {
            throw new NotSupportedException($"How long an event of the kind {Type} is is not known: read the file.");
        }

        while (true)
        {
            yield return await _reader.TakeAsync(cancellationToken);
        }
    }

    /// <summary>Closes the file unless it is closed. Does not throw.</summary>
    /// <returns>Completes when the file is closed.</returns>
    public ValueTask DisposeAsync() => File.DisposeAsync();

    private (Vevent Event, int Bytes) Decode(ReadOnlyMemory<byte> bytes)
    {
        var header = UapiStruct.Read<IommufdVeventHeader>(bytes.Span);
        var flags = (IommuVeventqFlags)header.Flags;
        var isLost = flags.HasFlag(IommuVeventqFlags.LostEvents);
        var length = HeaderBytes + (isLost ? 0 : _dataBytes);
        if (bytes.Length < length || header.Sequence > int.MaxValue)
        {
            throw new InvalidDataException($"{bytes.Length} bytes are no event of {length} bytes, or its number is not below 2^31: {header.Sequence}.");
        }

        // A header without data has the number of the latest event that was lost.
        var lost = ((header.Sequence - _next) & int.MaxValue) + (isLost ? 1u : 0);
        _next = (header.Sequence + 1) & int.MaxValue;
        return (new Vevent(header.Sequence, flags, bytes.Span[HeaderBytes..length].ToArray(), lost), length);
    }
}
