using IommuFd.GrainInterfaces;

namespace IommuFd.Client;

/// <summary>A file that an ioctl has opened, such as that of the access that <c>IOMMU_TEST_OP_CREATE_ACCESS</c> makes. Disposing closes the file.</summary>
public sealed class IommuFile : IAsyncDisposable
{
    private readonly LeasedReference _reference;
    private readonly ReleaseOnce<ReleaseReport?> _release;

    internal IommuFile(UserFile file, ClientCore core, TimeSpan lease)
    {
        (File, Target) = (file, file.Target ?? throw new InvalidOperationException($"The ioctl opened '{file.Identity}', which leads to no object."));
        _reference = core.Leases.Add(new LeasedReference(Target.Context, core.Grain(Target.Context), Target.Reference, lease, null));
        _release = core.PutOnce("close", _reference);
    }

    /// <summary>What the SDK sends with an argument that names the file by its descriptor.</summary>
    public UserFile File { get; }

    /// <summary>What the file leads to.</summary>
    public FileTarget Target { get; }

    /// <summary>Whether the service no longer has this file, as for <see cref="IommuContext.IsLost"/>.</summary>
    public bool IsLost => _reference.IsLost;

    /// <summary>Closes the file. If it was the context's last reference, the context is released.</summary>
    /// <param name="cancellationToken">Cancels the wait; the file may still be closed.</param>
    /// <returns>What was released; null if the context has other references, or if the answer was lost with its silo.</returns>
    /// <exception cref="IommufdException">EBADF if the file is closed, or if the context was lost.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public Task<ReleaseReport?> CloseAsync(CancellationToken cancellationToken = default) => _release.EndAsync(cancellationToken);

    /// <summary>Closes the file unless it is closed. Does not throw.</summary>
    /// <returns>Completes when the file is closed.</returns>
    public ValueTask DisposeAsync() => _release.DisposeAsync();
}
