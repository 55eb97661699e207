using System.Runtime.InteropServices;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Client;

/// <summary>A driver's access to the memory that an IOAS maps. Disposing it destroys it, with its pins. Thread-safe.</summary>
public sealed class IommuAccess : IAsyncDisposable
{
    private readonly IommuDriver _driver;
    private readonly ICallerMemory _memory;
    private readonly ReleaseOnce<DriverReply> _release;

    internal IommuAccess(IommuDriver driver, ObjectId id, ICallerMemory memory)
    {
        _driver = driver;
        _memory = memory;
        Id = id;
        _release = new ReleaseOnce<DriverReply>(cancellationToken => driver.RunAsync("destroy access", new DestroyAccessRequest(id), cancellationToken).AsTask());
    }

    /// <summary>The access's id.</summary>
    public ObjectId Id { get; }

    /// <summary>Attaches the access to an IOAS (<c>iommufd_access_attach</c>).</summary>
    /// <param name="ioas">The IOAS.</param>
    /// <param name="cancellationToken">Stops the waiting; it may be done then.</param>
    /// <returns>When it is attached.</returns>
    /// <exception cref="IommufdException">ENOENT without such an IOAS; EINVAL where it is attached; EADDRINUSE where it pins and an area is not aligned to pages.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async ValueTask AttachAsync(ObjectId ioas, CancellationToken cancellationToken = default)
        => await _driver.RunAsync("attach access", new AttachAccessRequest(Id, ioas), cancellationToken);

    /// <summary>Attaches the access to another IOAS (<c>iommufd_access_replace</c>). Its pins are dropped.</summary>
    /// <param name="ioas">The IOAS.</param>
    /// <param name="cancellationToken">Stops the waiting; it may be done then.</param>
    /// <returns>When it is attached.</returns>
    /// <exception cref="IommufdException">ENOENT without such an IOAS, or where it is not attached; EADDRINUSE as for <see cref="AttachAsync"/>.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async ValueTask ReplaceAsync(ObjectId ioas, CancellationToken cancellationToken = default)
        => await _driver.RunAsync("replace access", new ReplaceAccessRequest(Id, ioas), cancellationToken);

    /// <summary>Detaches the access (<c>iommufd_access_detach</c>), with its pins.</summary>
    /// <param name="cancellationToken">Stops the waiting; it may be done then.</param>
    /// <returns>When it is detached.</returns>
    /// <exception cref="IommufdException">EINVAL where it is not attached.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async ValueTask DetachAsync(CancellationToken cancellationToken = default)
        => await _driver.RunAsync("detach access", new DetachAccessRequest(Id), cancellationToken);

    /// <summary>Reads the memory behind IOVAs (<c>iommufd_access_rw</c>): the service says where it is, and this process copies.</summary>
    /// <param name="iova">The first IOVA, of any alignment.</param>
    /// <param name="destination">Where the bytes go, at most <see cref="IoctlLimits.MaxAccessBytes"/>.</param>
    /// <param name="cancellationToken">Stops the waiting; it may be done then.</param>
    /// <returns>When they are copied.</returns>
    /// <exception cref="IommufdException">
    /// ENOENT where an IOVA is not mapped, EPERM where one may not be read, EINVAL for no bytes; EFAULT where this process can't reach the memory, and then
    /// bytes before that may be copied.
    /// </exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public ValueTask ReadAsync(Iova iova, Memory<byte> destination, CancellationToken cancellationToken = default)
        => CopyAsync(iova, destination, isWrite: false, cancellationToken);

    /// <summary>Writes the memory behind IOVAs (<c>iommufd_access_rw</c>).</summary>
    /// <param name="iova">The first IOVA, of any alignment.</param>
    /// <param name="source">The bytes, at most <see cref="IoctlLimits.MaxAccessBytes"/>.</param>
    /// <param name="cancellationToken">Stops the waiting; it may be done then.</param>
    /// <returns>When they are copied.</returns>
    /// <exception cref="IommufdException">
    /// ENOENT where an IOVA is not mapped, EPERM where one may not be written, EINVAL for no bytes; nothing is copied then. EFAULT where this process can't
    /// reach the memory, and then bytes before that may be copied.
    /// </exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public ValueTask WriteAsync(Iova iova, ReadOnlyMemory<byte> source, CancellationToken cancellationToken = default)
        => CopyAsync(iova, MemoryMarshal.AsMemory(source), isWrite: true, cancellationToken);

    /// <summary>Pins the pages behind IOVAs (<c>iommufd_access_pin_pages</c>) until they are unpinned. Unmapping an IOVA of them revokes the pin.</summary>
    /// <param name="range">The IOVAs, at most <see cref="IoctlLimits.MaxAccessBytes"/>.</param>
    /// <param name="write">Whether they will be written.</param>
    /// <param name="cancellationToken">Stops the waiting; it may be done then.</param>
    /// <returns>The pin, with where the memory is.</returns>
    /// <exception cref="IommufdException">
    /// EINVAL where the access was not made to pin or pages are not aligned; ENOENT where an IOVA is not mapped, EPERM where one may not be accessed so, EFAULT
    /// where memory isn't there.
    /// </exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async ValueTask<IommuPin> PinAsync(IovaRange range, bool write = false, CancellationToken cancellationToken = default)
    {
        var reply = await _driver.RunAsync("pin", new PinPagesRequest(Id, range.Start, range.LengthBytes, write), cancellationToken);
        return new IommuPin(
            range, reply.Memory ?? [], cancellationToken => _driver.RunAsync("unpin", new UnpinPagesRequest(Id, reply.Pin), cancellationToken).AsTask());
    }

    /// <summary>Destroys the access (<c>iommufd_access_destroy</c>), with its pins. Does not fail for one that is there.</summary>
    /// <param name="cancellationToken">Stops the waiting; it may be done then.</param>
    /// <returns>When its object is gone.</returns>
    /// <exception cref="IommufdException">ENOENT where it was destroyed already, EBADF where the driver's reference was put.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public Task DestroyAsync(CancellationToken cancellationToken = default) => _release.EndAsync(cancellationToken);

    /// <summary>Destroys the access where that was not done. Does not throw.</summary>
    /// <returns>When it is gone.</returns>
    public ValueTask DisposeAsync() => _release.DisposeAsync();

    private async ValueTask CopyAsync(Iova iova, Memory<byte> buffer, bool isWrite, CancellationToken cancellationToken)
    {
        var operation = isWrite ? "write" : "read";
        var reply = await _driver.RunAsync(operation, new AccessRwRequest(Id, iova.Value, (ulong)buffer.Length, isWrite), cancellationToken);

        // The buffer gets an address that no program has, so that one copy serves buffers with and without addresses.
        var memory = new ArgumentMemory(buffer, _memory);
        if (MemoryCopier.Copy(memory, new UserCopy(ArgumentMemory.Address, reply.Memory ?? [], isWrite)) is { } fault)
        {
            throw new IommufdException(operation, Errno.EFAULT, fault);
        }
    }
}
