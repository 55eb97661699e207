using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Client;

/// <summary>
/// A dma-buf: memory of a device, which contexts map by <see cref="IommuContext.MapFileAsync"/> so that other devices reach it. Its exporter can revoke it: what is mapped of
/// it then leads nowhere, in every context, until it is unmapped and mapped again. Thread-safe.
/// </summary>
public sealed class DmaBuf
{
    /// <summary>Contexts that can map one dma-buf until it is revoked. One more gets ENOMEM.</summary>
    public const int MaxContexts = 4096;

    private readonly Lock _lock = new();
    private readonly Dictionary<ContextHandle, ClientCore> _contexts = [];
    private readonly UserDmaBuf _description;
    private bool _isRevoked;

    /// <summary>Makes a dma-buf.</summary>
    /// <param name="name">What it is, for people: it is shown where it is mapped.</param>
    /// <param name="lengthBytes">Its length.</param>
    /// <param name="isScattered">Whether it has several ranges: it can't be mapped then (EOPNOTSUPP).</param>
    /// <param name="isRevoked">Whether it is revoked to begin with.</param>
    public DmaBuf(string name, ulong lengthBytes, bool isScattered = false, bool isRevoked = false)
        : this(name, lengthBytes, new UserDmaBuf(isScattered ? DmaBufState.Scattered : DmaBufState.Mappable)) => _isRevoked = isRevoked;

    private DmaBuf(string name, ulong lengthBytes, UserDmaBuf description)
        => (Identity, LengthBytes, _description) = ($"{name} dma-buf {ContextHandle.NewRandom().Value:N}", lengthBytes, description);

    /// <summary>Tells dma-bufs apart: what mappings of it name.</summary>
    public string Identity { get; }

    /// <summary>Its length.</summary>
    public ulong LengthBytes { get; }

    /// <summary>Whether it is revoked.</summary>
    public bool IsRevoked
    {
        get
        {
            lock (_lock)
            {
                return _isRevoked;
            }
        }
    }

    /// <summary>Whether its last descriptor is closed. What is mapped of it stays mapped.</summary>
    public bool IsClosed { get; private set; }

    /// <summary>Whether no context has mapped it since it was made, or revoked.</summary>
    public bool IsUnused
    {
        get
        {
            lock (_lock)
            {
                return _contexts.Count == 0;
            }
        }
    }

    /// <summary>The file, as it is now, for <see cref="IommuContext.MapFileAsync"/>.</summary>
    public UserFile File => new(Identity, IsMemfd: false, LengthBytes) { DmaBuf = IsRevoked ? _description with { State = DmaBufState.Revoked } : _description, Exported = this };

    /// <summary>Revokes it (<c>dma_buf_move_notify</c>). Completes when nothing that is mapped of it can be reached any more.</summary>
    /// <returns>A task that completes then.</returns>
    /// <exception cref="IommufdTransportException">A context did not answer. What it has mapped may still be reached.</exception>
    public async Task RevokeAsync()
    {
        KeyValuePair<ContextHandle, ClientCore>[] contexts;
        lock (_lock)
        {
            _isRevoked = true;
            contexts = [.. _contexts];
            _contexts.Clear();
        }

        await Task.WhenAll(contexts.Select(context => RevokeAsync(context.Value, context.Key)));
    }

    /// <summary>Lets it be mapped again.</summary>
    public void Restore()
    {
        lock (_lock)
        {
            _isRevoked = false;
        }
    }

    /// <summary>Notes that its last descriptor is closed.</summary>
    public void Close() => IsClosed = true;

    /// <summary>Why a mapping is refused that would be one of too many.</summary>
    internal static IoctlDiagnostic InUse { get; } = new() { Reason = DiagnosticReason.DmaBufInUse, Limit = MaxContexts };

    /// <summary>The dma-buf that IOMMU_TEST_OP_DMABUF_GET has described.</summary>
    internal static DmaBuf OfSelftest(UserFile described) => new("selftest", described.LengthBytes, described.DmaBuf!);

    /// <summary>Notes that a context is about to map it.</summary>
    /// <returns>False where too many have.</returns>
    internal bool TryNote(ContextHandle context, ClientCore core)
    {
        lock (_lock)
        {
            if (_contexts.Count == MaxContexts && !_contexts.ContainsKey(context))
            {
                return false;
            }

            _contexts[context] = core;
            return true;
        }
    }

    /// <summary>Ends what a context has mapped, if the dma-buf was revoked while it did.</summary>
    internal Task MappedAsync(ContextHandle context, ClientCore core) => IsRevoked ? RevokeAsync(core, context) : Task.CompletedTask;

    private async Task RevokeAsync(ClientCore core, ContextHandle context)
    {
        try
        {
            await using var driver = await core.GetDriverAsync(context, "dma-buf", CancellationToken.None);
            await driver.RunAsync("revoke", new RevokeDmaBufRequest(Identity), CancellationToken.None);
        }
        catch (IommufdException exception) when (exception.Errno == Errno.EBADF)
        {
            // The context is released, and what it had mapped with it.
        }
    }
}
