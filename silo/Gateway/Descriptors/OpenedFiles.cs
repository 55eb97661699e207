using System.Collections.Concurrent;
using System.Diagnostics;
using IommuFd.Client;
using IommuFd.Devices.Vfio;
using IommuFd.GrainInterfaces;
using IommuFd.Silo.Gateway.Devices;
using IommuFd.Uapi;
using Microsoft.Extensions.Logging;

namespace IommuFd.Silo.Gateway.Descriptors;

// A gateway's restart ends all descriptors, and the programs resume them: each process its own copies, when it needs them. So one file may have several descriptors
// then, and one that a process has closed may have copies that are still to be resumed.

/// <summary>What the gateway's descriptors lead to.</summary>
internal sealed class OpenedFiles(IommufdClient client, HandleSeal seal, GatewaySettings settings, GatewayDevices devices, ILogger logger) : IDisposable
{
    private readonly long _started = Stopwatch.GetTimestamp();
    private readonly Quota _open = new(settings.MaxContexts, "open contexts");
    private readonly ConcurrentDictionary<DescriptorName, Lazy<Task<OpenedFile>>> _byName = new();
    private readonly Lock _lock = new();
    private readonly Dictionary<ContextHandle, (OpenedContext Opened, int Files)> _contexts = [];
    private readonly CancellationTokenSource _stop = new();

    /// <summary>Opens a context for a program. Its file counts one descriptor.</summary>
    /// <exception cref="IommufdException">EMFILE where the user has too many; otherwise as the service answers.</exception>
    public async Task<OpenedFile> OpenAsync(GatewayPeer peer, string program, ContextMode? mode)
    {
        var context = await CountedAsync(peer.Identity, "open", () => client.OpenAsync(program, mode));
        logger.ContextOpened(program, peer.Identity, context.Handle.Key.Tag);
        return Joined(Added(OwnFile(context, peer.Identity)));
    }

    /// <summary>Opens a file of an emulated device. It counts one descriptor.</summary>
    /// <exception cref="IommufdException">ENOENT: there is no such device.</exception>
    public OpenedFile OpenDevice(GatewayPeer peer, string program, string name)
    {
        var (device, number) = devices.Find(name) ?? throw new IommufdException("open", Errno.ENOENT, null);
        logger.DeviceOpened(program, peer.Identity, device.Address.ToString());
        return Joined(OfDevices(peer, number, null, device.Open()));
    }

    private static OpenedFile OfDevices(GatewayPeer peer, int number, GroupFile? group, VfioDeviceFile? device = null)
        => new(new OpenedContext(default, isDurable: false), null, null, peer.Identity) { Device = device, Group = group, Number = number };

    /// <summary>Opens a group of devices. Its file counts one descriptor.</summary>
    /// <exception cref="IommufdException">ENOENT: there is no such group; EBUSY: it is open, or a device of it is bound.</exception>
    public OpenedFile OpenGroup(GatewayContexts contexts, GatewayPeer peer, string number)
    {
        var group = devices.FindGroup(number) ?? throw new IommufdException("open", Errno.ENOENT, null);
        return group.TryOpen() ? Joined(OfDevices(peer, group.Number, new GroupFile(contexts, group))) : throw new IommufdException("open", Errno.EBUSY, null);
    }

    /// <summary>Opens a device of an open group. It counts one descriptor.</summary>
    /// <exception cref="IommufdException">As <see cref="GroupFile.OpenDeviceAsync"/>.</exception>
    public async Task<OpenedFile> OpenDeviceAsync(GroupFile group, GatewayPeer peer, string program, string name)
    {
        var (file, number) = await group.OpenDeviceAsync(name);
        logger.DeviceOpened(program, peer.Identity, file.Device.Address.ToString());
        return Joined(OfDevices(peer, number, group, file));
    }

    /// <summary>Whether the group of a device is open.</summary>
    public bool IsGroupOpen(VfioDevice device) => devices.GroupOf(device).IsOpen;

    /// <summary>Takes a driver's reference to a context.</summary>
    /// <exception cref="IommufdException">EBADF if it is closed.</exception>
    public Task<IommuDriver> GetDriverAsync(OpenedContext opened, string driver, CancellationToken cancellationToken) => client.GetDriverAsync(opened.Handle, driver, cancellationToken);

    /// <summary>Takes a file that an ioctl has opened. It counts one descriptor.</summary>
    public OpenedFile Take(OpenedContext opened, NewFile opening, string owner)
        => opening.File.DmaBuf is not null ? Joined(new OpenedFile(new OpenedContext(default, isDurable: false), null, null, owner) { DmaBuf = IommuContext.DmaBufOf(opening), Number = PagesOf(opening.File) })
            : Take(opened, opened.Context!.FileOf(opening), owner);

    // At most 256 ranges of a BAR.
    private static int PagesOf(UserFile dmaBuf) => (int)ulong.Min(dmaBuf.LengthBytes / 4096, ushort.MaxValue);

    private OpenedFile Take(OpenedContext opened, IommuFile file, string owner)
        => Joined(Added(new OpenedFile(Enter(opened.Handle, opened.IsDurable), file, opened.IsDurable ? DescriptorName.Of(opened.Handle, file.Target) : null, owner)));

    /// <summary>Finds what a descriptor led to that another gateway had, or takes it over from that. The file counts one descriptor more.</summary>
    /// <exception cref="IommufdException">EBADF if it is no more, or never was this user's; EMFILE as for <see cref="OpenAsync"/>.</exception>
    public async Task<OpenedFile> ResumeAsync(GatewayPeer peer, string program, byte[] resumption)
    {
        var name = seal.OpenName(peer.Identity, resumption) ?? throw new IommufdException("resume", Errno.EBADF, null);
        while (true)
        {
            var known = _byName.GetOrAdd(name, added => new Lazy<Task<OpenedFile>>(() => RestoreAsync(peer, program, added)));
            try
            {
                if ((await known.Value) is var file && file.TryJoin())
                {
                    return file;
                }
            }
            catch
            {
                _byName.TryRemove(new KeyValuePair<DescriptorName, Lazy<Task<OpenedFile>>>(name, known));
                throw;
            }

            _byName.TryRemove(new KeyValuePair<DescriptorName, Lazy<Task<OpenedFile>>>(name, known));
        }
    }

    /// <summary>The bytes by which a user can resume a descriptor; zeros for one that ends with this silo.</summary>
    public byte[] ResumptionOf(string identity, OpenedFile file) => file.Name is { } name ? seal.SealName(identity, name) : new byte[HandleSeal.ResumptionBytes];

    /// <summary>A descriptor is closed: with the last one, so is the file.</summary>
    public async Task LeaveAsync(OpenedFile file)
    {
        file.Leave();
        if (file.IsResumed && settings.ResumePatience - Stopwatch.GetElapsedTime(_started) is { Ticks: > 0 } wait)
        {
            _ = CloseLaterAsync(file, wait);
        }
        else
        {
            await CloseAsync(file);
        }
    }

    /// <summary>From now on, what waits to be closed stays open: it is resumed elsewhere, or its lease expires.</summary>
    public void Dispose() => _stop.Cancel();

    private static OpenedFile Joined(OpenedFile file) => file.TryJoin() ? file : throw new InvalidOperationException("A file is closed before it has a descriptor.");

    private async Task<OpenedFile> RestoreAsync(GatewayPeer peer, string program, DescriptorName name)
    {
        if (name.Target is { } target)
        {
            var file = await client.ResumeFileAsync(name.Handle, target, program);
            return new OpenedFile(Enter(name.Handle, isDurable: true), file, name, peer.Identity) { IsResumed = true };
        }

        var context = await CountedAsync(peer.Identity, "resume", () => client.ResumeAsync(name.Handle, name.Number, program));
        logger.DescriptorResumed(program, peer.Identity, name.Handle.Key.Tag);
        return OwnFile(context, peer.Identity, isResumed: true);
    }

    private OpenedFile OwnFile(IommuContext context, string owner, bool isResumed = false)
    {
        var isDurable = context.Mode == ContextMode.Durable;
        var opened = Enter(context.Handle, isDurable);
        opened.Context = context;
        return new OpenedFile(opened, null, isDurable ? new DescriptorName(context.Handle, context.SessionId, ObjectType.Any, default) : null, owner) { IsResumed = isResumed };
    }

    // Copies of it can be resumed from now on.
    private OpenedFile Added(OpenedFile file)
    {
        if (file.Name is { } name)
        {
            _byName[name] = new Lazy<Task<OpenedFile>>(Task.FromResult(file));
        }

        return file;
    }

    private async Task<IommuContext> CountedAsync(string identity, string operation, Func<Task<IommuContext>> open)
    {
        try
        {
            return _open.TryEnter(identity) ? await open() : throw new IommufdException(operation, Errno.EMFILE, null);
        }
        catch
        {
            _open.Leave(identity);
            throw;
        }
    }

    private async Task CloseLaterAsync(OpenedFile file, TimeSpan wait)
    {
        try
        {
            await Task.Delay(wait, _stop.Token);
            await CloseAsync(file);
        }
        catch (OperationCanceledException)
        {
            // The silo stops.
        }
    }

    private async Task CloseAsync(OpenedFile file)
    {
        if (!file.TryClose())
        {
            return;
        }

        if (file.Name is { } name)
        {
            _byName.TryRemove(name, out _);
        }

        await file.DisposeAsync();
        if (file.IsOfDevices)
        {
            return;
        }

        if (file.File is null)
        {
            _open.Leave(file.Owner);
            logger.ContextClosed(file.Owner, file.Opened.Handle.Key.Tag);
        }

        Exit(file.Opened.Handle);
    }

    private OpenedContext Enter(ContextHandle handle, bool isDurable)
    {
        lock (_lock)
        {
            var (opened, files) = _contexts.GetValueOrDefault(handle);
            opened ??= new OpenedContext(handle, isDurable);
            _contexts[handle] = (opened, files + 1);
            return opened;
        }
    }

    private void Exit(ContextHandle handle)
    {
        lock (_lock)
        {
            var (opened, files) = _contexts[handle];
            if (files == 1)
            {
                _contexts.Remove(handle);
                opened.Pages.Dispose();
            }
            else
            {
                _contexts[handle] = (opened, files - 1);
            }
        }
    }
}
