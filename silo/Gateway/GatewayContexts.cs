using System.Collections.Concurrent;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Silo.Gateway.Descriptors;
using IommuFd.Silo.Gateway.Devices;
using IommuFd.Silo.Gateway.Programs;
using IommuFd.Silo.Gateway.Recording;
using Microsoft.Extensions.Logging;

namespace IommuFd.Silo.Gateway;

/// <summary>What the gateway's programs have open.</summary>
/// <param name="grains">Finds the service's grains.</param>
/// <param name="settings">The gateway's settings.</param>
/// <param name="seal">Makes handles and keys of each other.</param>
/// <param name="holders">Which processes have which descriptors.</param>
/// <param name="devices">The emulated devices.</param>
/// <param name="logger">The log.</param>
/// <param name="recording">What programs do is noted here; null for nowhere.</param>
internal sealed class GatewayContexts(
    IGrainFactory grains, GatewaySettings settings, HandleSeal seal, DescriptorHolders holders, GatewayDevices devices, ILogger<GatewayContexts> logger, ProgramRecording? recording = null)
{
    private static readonly TimeSpan ClaimPatience = TimeSpan.FromSeconds(10);

    private static readonly TimeSpan InspectPatience = TimeSpan.FromSeconds(1);

    private const int MaxProofs = 4096;

    private readonly ConcurrentDictionary<Guid, Descriptor> _descriptors = new();
    private readonly ConcurrentDictionary<Guid, (OpenedContext Opened, NewFile File, CallsConnection Holder)> _claims = new();
    private readonly ConcurrentDictionary<Guid, TaskCompletionSource<Descriptor>> _proofs = new();
    private readonly GrainChannel _channel = new(grains);

    public GatewaySettings Settings => settings;

    /// <summary>What descriptors lead to.</summary>
    public OpenedFiles Files { get; } = new(new IommufdClient(grains), seal, settings, devices, logger);

    /// <summary>The accesses of devices that could not be translated.</summary>
    public GatewayFaults Faults { get; } = new(grains);

    /// <summary>A random number of this gateway's life.</summary>
    public ulong Instance { get; } = BitConverter.ToUInt64(ContextHandle.NewRandom().Value.ToByteArray());

    /// <summary>Which processes have which descriptors.</summary>
    public DescriptorHolders Holders => holders;

    /// <summary>What programs do is noted here; null for nowhere.</summary>
    public ProgramRecording? Recording => recording;

    public GatewayPrograms Programs { get; } = new(grains, new LockedMemory(settings.LockedMemory, holders.HasContext));

    /// <summary>What each identity has under way.</summary>
    public IdentityUses Uses { get; } = new(settings);

    /// <summary>The connections of each user, of both kinds.</summary>
    public Quota Connections { get; } = new(settings.MaxConnections, "connections");

    /// <summary>Every descriptor.</summary>
    public ICollection<Descriptor> All => _descriptors.Values;

    /// <summary>The descriptor of a ticket.</summary>
    public Descriptor? Find(Guid ticket) => _descriptors.GetValueOrDefault(ticket);

    /// <summary>The calls of a context that a user knows by a handle.</summary>
    public ContextCalls Calls(string identity, Guid handle) => _channel.Find(seal.Open(identity, handle));

    /// <summary>
    /// Pages that contexts have pinned of a process's memory, and how many of them count against its own limit: as the contexts say that programs here have open.
    /// What can't be asked has nothing. Without limits, pages have no account: then those of RLIMIT_MODE 1 count that a process without CAP_IPC_LOCK has.
    /// </summary>
    public async Task<(long Pinned, long Locked)> PinnedAsync(int process)
    {
        if (Programs.MemoriesOf(process) is not { Count: > 0 } memories)
        {
            return default;
        }

        var opened = _descriptors.Values.Where(descriptor => !descriptor.Leads.IsOfDevices).Select(descriptor => descriptor.Opened.Handle).Distinct();
        var hasLimit = !Programs.Locked.IsOn && ProcessStatus.Of(process)?.CanLockMemory == false;
        var pinned = (await Task.WhenAll(opened.Select(PinnedByAsync)))
            .SelectMany(context => context.Pinned.Select(found => (found.Source, found.Pages, IsLocked: found.Account == PinAccount.Process || (hasLimit && context.Mode == 1))))
            .Where(found => found.Source is { } source && memories.Contains(source)).ToList();
        return (pinned.Sum(found => found.Pages), pinned.Where(found => found.IsLocked).Sum(found => found.Pages));
    }

    /// <summary>The handle by which another identity knows the context that one knows by a handle.</summary>
    public Guid Grant(string identity, Guid handle, string grantee) => seal.Close(grantee, seal.Open(identity, handle));

    /// <summary>An identity has let another use a context.</summary>
    public void NoteGranted(string identity, ContextTag context, string grantee) => logger.ContextGranted(identity, context, grantee);

    /// <summary>The number by which the service knows a user as an opener of contexts.</summary>
    public long ClientOf(string identity) => seal.ClientOf(identity);

    /// <summary>What no client provokes has failed: a bug.</summary>
    public void NoteFailure(Exception exception) => logger.RequestFailed(exception);

    /// <summary>A program has opened a context by a handle.</summary>
    public void NoteOpened(GatewayPeer peer, ContextTag context)
    {
        logger.ContextOpened(peer.Describe("program"), peer.Identity, context);
        recording?.Miss("a program opened a context by the SDK, and not as a file");
    }

    /// <summary>
    /// Waits until the files that ended processes left open are closed. A parent that has waited for its child expects that: Linux closes a process's files before
    /// it reports the exit.
    /// </summary>
    public Task SettleAsync() => Task.WhenAll(_descriptors.Values.Where(descriptor => descriptor.IsOver).Select(descriptor => descriptor.Released));

    public void Add(Descriptor descriptor)
    {
        _descriptors[descriptor.Ticket] = descriptor;
        if (descriptor.IsQueue)
        {
            descriptor.Opened.Add(descriptor);
        }

        if (descriptor.Leads.IsOfDevices)
        {
            recording?.Miss(descriptor.Leads.DmaBuf is null ? "a device's file was opened, of which traces know nothing" : "a dma-buf was made, of which traces know nothing");
        }
        else if (descriptor.File is null)
        {
            Faults.NoteOwner(descriptor.Leads.Owner, descriptor.Opened.Handle.Key.Tag);
            recording?.Opened(descriptor.Opened.Handle.Key);
        }
    }

    /// <summary>The last copy of a descriptor is closed.</summary>
    public async Task RemoveAsync(Descriptor descriptor)
    {
        descriptor.Opened.Remove(descriptor);
        holders.Remove(descriptor);
        await descriptor.DisposeAsync();
        await descriptor.DrainAsync();
        await CloseAsync(descriptor);
        _descriptors.TryRemove(descriptor.Ticket, out _);
        descriptor.Release();
    }

    private async Task<(PinnedMemory[] Pinned, uint Mode)> PinnedByAsync(ContextHandle handle)
    {
        try
        {
            var context = await _channel.Find(handle).InspectAsync(new InspectRequest(default, 0, WithState: false), CancellationToken.None).WaitAsync(InspectPatience);
            return (context.Pinned, context.RlimitMode);
        }
        catch (Exception exception) when (exception is not OutOfMemoryException)
        {
            return ([], 0);
        }
    }

    private Task CloseAsync(Descriptor descriptor) => recording is null || descriptor.File is not { Target: var file } ? Files.LeaveAsync(descriptor.Leads)
        : recording.RunAsync(async () =>
        {
            await Files.LeaveAsync(descriptor.Leads);
            recording.Closed(file);
        });

    /// <summary>Keeps a file that an ioctl has opened until its descriptor claims it.</summary>
    /// <param name="opened">The context.</param>
    /// <param name="file">The file.</param>
    /// <param name="holder">The connection that the claim is sent on.</param>
    /// <returns>The claim.</returns>
    public Guid Hold(OpenedContext opened, NewFile file, CallsConnection holder)
    {
        var claim = ContextHandle.NewRandom().Value;
        _claims[claim] = (opened, file, holder);
        _ = DiscardLateAsync(claim);
        return claim;
    }

    /// <summary>Takes the file of a claim.</summary>
    public (OpenedContext Opened, NewFile File)? Take(Guid claim) => _claims.TryRemove(claim, out var held) ? (held.Opened, held.File) : null;

    /// <summary>Undoes the ioctl that has opened a file which gets no descriptor.</summary>
    /// <returns>False without such a claim.</returns>
    public async Task<bool> DiscardAsync(Guid claim)
    {
        if (Take(claim) is not var (opened, file))
        {
            return false;
        }

        recording?.Miss("a file that an ioctl opened got no descriptor");
        if (file.File.DmaBuf is not null)
        {
            IommuContext.DmaBufOf(file).Close();
            return true;
        }

        try
        {
            await opened.Context!.UndoFileAsync(opened.Context.FileOf(file));
        }
        catch (Exception exception) when (exception is IommufdTransportException or IommufdException)
        {
            // What is left goes with the context.
            logger.FileLeft(opened.Handle.Key.Tag, exception.Message);
        }

        return true;
    }

    /// <summary>Discards what was opened for a program that has gone before it took it.</summary>
    public Task DiscardAllAsync(CallsConnection holder)
        => Task.WhenAll(_claims.Where(claim => claim.Value.Holder == holder).Select(claim => DiscardAsync(claim.Key)));

    /// <summary>A nonce has come by a descriptor.</summary>
    public void Prove(Guid nonce, Descriptor descriptor)
    {
        if (_proofs.Count < MaxProofs)
        {
            ProofOf(nonce).TrySetResult(descriptor);
        }
    }

    /// <summary>The descriptor by which a nonce comes within a time; null for none.</summary>
    public async Task<Descriptor?> ProvedAsync(Guid nonce, TimeSpan wait)
    {
        try
        {
            return await ProofOf(nonce).Task.WaitAsync(wait);
        }
        catch (TimeoutException)
        {
            return null;
        }
        finally
        {
            _proofs.TryRemove(nonce, out _);
        }
    }

    // What nobody asks about within twice the time is forgotten: proofs cost their sender nothing.
    private TaskCompletionSource<Descriptor> ProofOf(Guid nonce) => _proofs.GetOrAdd(nonce, added =>
    {
        _ = ForgetAsync(added);
        return new TaskCompletionSource<Descriptor>(TaskCreationOptions.RunContinuationsAsynchronously);
    });

    private async Task ForgetAsync(Guid nonce)
    {
        await Task.Delay(TimeSpan.FromSeconds(2));
        _proofs.TryRemove(nonce, out _);
    }

    private async Task DiscardLateAsync(Guid claim)
    {
        await Task.Delay(ClaimPatience);
        await DiscardAsync(claim);
    }
}
