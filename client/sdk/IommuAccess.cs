using System.Runtime.InteropServices;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Client;

/// <summary>A driver's access to the memory that an IOAS maps. Disposing destroys the access with its pins. Thread-safe.</summary>
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
    /// <param name="cancellationToken">Cancels the wait; the request may still run.</param>
    /// <returns>Completes when the access is attached.</returns>
    /// <exception cref="IommufdException">ENOENT if there is no such IOAS; EINVAL if the access is attached; EADDRINUSE if it pins and an area is not aligned to pages.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async ValueTask AttachAsync(ObjectId ioas, CancellationToken cancellationToken = default)
        => await _driver.RunAsync("attach access", new AttachAccessRequest(Id, ioas), cancellationToken);

    /// <summary>Attaches the access to another IOAS (<c>iommufd_access_replace</c>), which drops its pins.</summary>
    /// <param name="ioas">The IOAS.</param>
    /// <param name="cancellationToken">Cancels the wait; the request may still run.</param>
    /// <returns>Completes when the access is attached.</returns>
    /// <exception cref="IommufdException">ENOENT if there is no such IOAS, or if the access is not attached; EADDRINUSE as for <see cref="AttachAsync"/>.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async ValueTask ReplaceAsync(ObjectId ioas, CancellationToken cancellationToken = default)
        => await _driver.RunAsync("replace access", new ReplaceAccessRequest(Id, ioas), cancellationToken);

    /// <summary>Detaches the access (<c>iommufd_access_detach</c>), which drops its pins.</summary>
    /// <param name="cancellationToken">Cancels the wait; the request may still run.</param>
    /// <returns>Completes when the access is detached.</returns>
    /// <exception cref="IommufdException">EINVAL if the access is not attached.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async ValueTask DetachAsync(CancellationToken cancellationToken = default)
        => await _driver.RunAsync("detach access", new DetachAccessRequest(Id), cancellationToken);

    /// <summary>Reads the memory behind IOVAs (<c>iommufd_access_rw</c>): the service answers where the memory is, and this process copies.</summary>
    /// <param name="iova">The first IOVA, of any alignment.</param>
    /// <param name="destination">The buffer for the bytes, at most <see cref="IoctlLimits.MaxAccessBytes"/>.</param>
    /// <param name="cancellationToken">Cancels the wait; the request may still run.</param>
    /// <returns>Completes when the bytes are copied.</returns>
    /// <exception cref="IommufdException">
    /// ENOENT if an IOVA is not mapped, EPERM if one is not readable, EINVAL for an empty buffer. EFAULT if this process can't access the memory; bytes before the
    /// fault may be copied then.
    /// </exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public ValueTask ReadAsync(Iova iova, Memory<byte> destination, CancellationToken cancellationToken = default)
        => CopyAsync(iova, destination, isWrite: false, cancellationToken);

    /// <summary>Writes the memory behind IOVAs (<c>iommufd_access_rw</c>).</summary>
    /// <param name="iova">The first IOVA, of any alignment.</param>
    /// <param name="source">The bytes, at most <see cref="IoctlLimits.MaxAccessBytes"/>.</param>
    /// <param name="cancellationToken">Cancels the wait; the request may still run.</param>
    /// <returns>Completes when the bytes are copied.</returns>
    /// <exception cref="IommufdException">
    /// ENOENT if an IOVA is not mapped, EPERM if one is not writable, EINVAL for an empty buffer; nothing is copied then. EFAULT if this process can't access the
    /// memory; bytes before the fault may be copied then.
    /// </exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public ValueTask WriteAsync(Iova iova, ReadOnlyMemory<byte> source, CancellationToken cancellationToken = default)
        => CopyAsync(iova, MemoryMarshal.AsMemory(source), isWrite: true, cancellationToken);

    /// <summary>Pins the pages behind IOVAs (<c>iommufd_access_pin_pages</c>) until the pin is dropped. Unmapping one of the IOVAs revokes the pin.</summary>
    /// <param name="range">The IOVAs, at most <see cref="IoctlLimits.MaxAccessBytes"/>.</param>
    /// <param name="write">Whether the pages will be written.</param>
    /// <param name="cancellationToken">Cancels the wait; the request may still run.</param>
    /// <returns>The pin, which says where the memory is.</returns>
    /// <exception cref="IommufdException">
    /// EINVAL if the access was created without pinning, or if the IOVAs are not aligned to pages; ENOENT if an IOVA is not mapped, EPERM if one does not permit the
    /// access, EFAULT if there is no memory behind one.
    /// </exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public async ValueTask<IommuPin> PinAsync(IovaRange range, bool write = false, CancellationToken cancellationToken = default)
    {
        var reply = await _driver.RunAsync("pin", new PinPagesRequest(Id, range.Start, range.LengthBytes, write), cancellationToken);
        return new IommuPin(
            range, reply.Memory ?? [], cancellationToken => _driver.RunAsync("unpin", new UnpinPagesRequest(Id, reply.Pin), cancellationToken).AsTask());
    }

    /// <summary>Destroys the access with its pins (<c>iommufd_access_destroy</c>). Never fails for an access that exists.</summary>
    /// <param name="cancellationToken">Cancels the wait; the request may still run.</param>
    /// <returns>Completes when the object is destroyed.</returns>
    /// <exception cref="IommufdException">ENOENT if the access was destroyed before, EBADF if the driver's reference was put.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public Task DestroyAsync(CancellationToken cancellationToken = default) => _release.EndAsync(cancellationToken);

    /// <summary>Destroys the access unless that was done before. Does not throw.</summary>
    /// <returns>Completes when the access is destroyed.</returns>
    public ValueTask DisposeAsync() => _release.DisposeAsync();

    private async ValueTask CopyAsync(Iova iova, Memory<byte> buffer, bool isWrite, CancellationToken cancellationToken)
    {
        var operation = isWrite ? "write" : "read";
        var reply = await _driver.RunAsync(operation, new AccessRwRequest(Id, iova.Value, (ulong)buffer.Length, isWrite), cancellationToken);

        // The buffer gets an address that no program can use, so that the same copy works for buffers with and without an address.
        var memory = new ArgumentMemory(buffer, _memory);
        if (MemoryCopier.Copy(memory, new UserCopy(ArgumentMemory.Address, reply.Memory ?? [], isWrite)) is { } fault)
        {
            throw new IommufdException(operation, Errno.EFAULT, fault);
        }
    }
}
