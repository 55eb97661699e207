using IommuFd.GrainInterfaces;

namespace IommuFd.Client;

/// <summary>A file that an ioctl has opened, such as the access that <c>IOMMU_TEST_OP_CREATE_ACCESS</c> makes. Disposing it closes it.</summary>
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

    /// <summary>Whether the service was found to have this file no more, as <see cref="IommuContext.IsLost"/>.</summary>
    public bool IsLost => _reference.IsLost;

    /// <summary>Closes the file. Where it was the context's last reference, the context is released.</summary>
    /// <param name="cancellationToken">Stops the waiting; the file may be closed then.</param>
    /// <returns>What was released; null where others still refer to the context, and where the answer was lost with its silo.</returns>
    /// <exception cref="IommufdException">EBADF where it is closed already, or the context was lost.</exception>
    /// <exception cref="IommufdTransportException">No answer came.</exception>
    public Task<ReleaseReport?> CloseAsync(CancellationToken cancellationToken = default) => _release.EndAsync(cancellationToken);

    /// <summary>Closes the file where it is still open. Does not throw.</summary>
    /// <returns>When it is closed.</returns>
    public ValueTask DisposeAsync() => _release.DisposeAsync();
}
