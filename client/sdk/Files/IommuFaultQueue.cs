using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Client;

/// <summary>
/// A queue of page faults with its open file. Disposing closes the file; the object can be destroyed then, when no page table uses it.
/// Thread-safe.
/// </summary>
public sealed class IommuFaultQueue : IAsyncDisposable
{
    private static readonly int FaultBytes = Unsafe.SizeOf<IommuHwptPgfault>();
    private readonly QueueReader<PageFaultGroup> _reader;

    internal IommuFaultQueue(ObjectId id, IommuFile file)
    {
        (Id, File) = (id, file);
        _reader = new QueueReader<PageFaultGroup>(file, new byte[IoctlLimits.MaxFaultGroup * FaultBytes], Decode);
    }

    /// <summary>The queue's id in ioctls.</summary>
    public ObjectId Id { get; }

    /// <summary>The file, for raw reads and writes. What is read through it does not come through <see cref="ReadAllAsync"/>.</summary>
    public IommuFile File { get; }

    /// <summary>
    /// Reads groups of page faults as they arrive, without end. The queue is read only when the program asks for a group and none is left of the
    /// read before. Several enumerations, at once or one after the other, share the groups.
    /// </summary>
    /// <param name="cancellationToken">Ends the enumeration. No group is lost: the next enumeration gets what was being read.</param>
    /// <returns>The groups, each to be answered by <see cref="RespondAsync"/>.</returns>
    /// <exception cref="IommufdException">EBADF if the file is closed, or if the context was lost.</exception>
    /// <exception cref="IommufdTransportException">No answer came. Groups may have been read, and are lost then.</exception>
    /// <exception cref="InvalidDataException">The service answered what are no page faults.</exception>
    public async IAsyncEnumerable<PageFaultGroup> ReadAllAsync([EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        while (true)
        {
            yield return await _reader.TakeAsync(cancellationToken);
        }
    }

    /// <summary>Answers a group: its device goes on.</summary>
    /// <param name="group">The group.</param>
    /// <param name="code">How the faults were handled.</param>
    /// <param name="cancellationToken">Cancels the wait; the group may still be answered.</param>
    /// <returns>Completes when the group is answered.</returns>
    /// <exception cref="IommufdException">EINVAL if the group was answered before, or by the service because its device left the page table; EBADF if the file is closed.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async ValueTask RespondAsync(PageFaultGroup group, IommuPageResponseCode code, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(group);
        var response = new IommuHwptPageResponse { Cookie = group.Cookie, Code = (uint)code };
        (await File.WriteAsync(UapiStruct.ToBytes(in response), cancellationToken)).ThrowIfFailed();
    }

    /// <summary>Closes the file unless it is closed. Does not throw.</summary>
    /// <returns>Completes when the file is closed.</returns>
    public ValueTask DisposeAsync() => File.DisposeAsync();

    // The faults of a group are read together, and have the cookie that no other group has.
    private static (PageFaultGroup Group, int Bytes) Decode(ReadOnlyMemory<byte> bytes)
    {
        if (bytes.Length % FaultBytes != 0)
        {
            throw new InvalidDataException($"{bytes.Length} bytes are no whole page faults of {FaultBytes} bytes.");
        }

        var faults = MemoryMarshal.Cast<byte, IommuHwptPgfault>(bytes.Span);
        var first = faults[0];
        var count = 1;
        while (count < faults.Length && faults[count].Cookie == first.Cookie)
        {
            count++;
        }

        var pasid = ((IommuPgfaultFlags)first.Flags).HasFlag(IommuPgfaultFlags.PasidValid) ? first.Pasid : default(uint?);
        return (new PageFaultGroup(first.Cookie, new ObjectId(first.DevId), pasid, faults[..count].ToArray()), count * FaultBytes);
    }
}
