using IommuFd.Client;
using IommuFd.Devices.Pci;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Devices.Vfio;

// What several files of one device share: which of them is bound, and to what. Binding, attaching and closing run one after the other (the kernel's dev_set->lock);
// everything else runs in the device's loop.

/// <summary>A device of a machine, as its files know it. Thread-safe.</summary>
public sealed class VfioDevice
{
    private readonly VfioMachine _machine;
    private readonly SerialQueue _queue = new();
    private VfioBinding? _binding;

    internal VfioDevice(VfioMachine machine, PciAddress address, PciFunction function, DeviceDescription description)
        => (_machine, Address, Function, Description, Exports) = (machine, address, function, description, new VfioExports(machine, function, LowPower));

    /// <summary>Where it is.</summary>
    public PciAddress Address { get; }

    /// <summary>The device itself.</summary>
    public PciFunction Function { get; }

    /// <summary>What a context learns of it: its name, its group and the IOMMU in front of it.</summary>
    public DeviceDescription Description { get; }

    /// <summary>Its IOMMU group.</summary>
    public string Group => Description.Group!;

    /// <summary>Its id in the context that it is bound to; 0 for none.</summary>
    public ObjectId BoundId => _binding?.Device.Id ?? default;

    /// <summary>Whether a program has let it sleep.</summary>
    internal VfioLowPower LowPower { get; } = new();

    /// <summary>The dma-bufs that it has exported.</summary>
    internal VfioExports Exports { get; }

    /// <summary>Opens a file of the device. Nothing can be done with it before it is bound.</summary>
    /// <param name="time">The clock; null for the system's.</param>
    /// <returns>The file.</returns>
    public VfioDeviceFile Open(TimeProvider? time = null) => new(this, time);

    /// <summary>The machine that it is in.</summary>
    internal VfioMachine Machine => _machine;

    /// <summary>Runs what no other file of the device may do at the same time.</summary>
    internal Task<T> RunAsync<T>(Func<Task<T>> run) => _queue.RunAsync(run);

    /// <summary>Binds the device to a context (<c>vfio_df_open</c>): EINVAL where a file has bound it, EPERM where the group is another context's. In the queue.</summary>
    internal async Task<VfioFound<VfioBinding>> BindAsync(VfioContext context, TimeProvider? time, CancellationToken cancellationToken)
    {
        if (_binding is not null)
        {
            return new VfioFound<VfioBinding>(Errno.EINVAL);
        }

        var owner = context.Driver.Handle;
        if (_machine.Claim(Group, owner) is var claimed && claimed != Errno.None)
        {
            return new VfioFound<VfioBinding>(claimed);
        }

        try
        {
            var device = await context.Driver.BindDeviceAsync(Description, cancellationToken);
            _binding = new VfioBinding(context, device);
            await Function.Loop.RunAsync(() =>
            {
                Function.Connect(new ContextDmaPort(device, _machine.Reach(context.Memory), context.Fence, time));
                VfioReset.OnOpen(Function);
            });
            return new VfioFound<VfioBinding>(Errno.None, _binding);
        }
        catch (IommufdException exception)
        {
            _machine.Release(Group);
            return new VfioFound<VfioBinding>(exception.Errno);
        }
        catch
        {
            _machine.Release(Group);
            throw;
        }
    }

    /// <summary>Unbinds the device, which detaches it (<c>vfio_df_close</c>). In the queue.</summary>
    internal async Task UnbindAsync()
    {
        var binding = _binding!;
        LowPower.Exit();
        await Function.Loop.RunAsync(() => VfioReset.OnClose(Function));
        await Exports.EndAsync();
        await binding.Device.DisposeAsync();
        await binding.Context.Fence.DrainAsync();
        _machine.Release(Group);
        _binding = null;
    }
}

/// <summary>A device that is bound to a context.</summary>
/// <param name="context">The context.</param>
/// <param name="device">The device's object there.</param>
internal sealed class VfioBinding(VfioContext context, IommuDevice device)
{
    public VfioContext Context { get; } = context;

    public IommuDevice Device { get; } = device;

    /// <summary>Whether the device itself was attached (<c>iommufd_attached</c>).</summary>
    public bool IsAttached { get; set; }

    /// <summary>The PASIDs that were attached (<c>vdev->pasids</c>).</summary>
    public HashSet<uint> Pasids { get; } = [];
}
