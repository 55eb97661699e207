using IommuFd.Client;
using IommuFd.Devices;
using IommuFd.Devices.Vfio;
using IommuFd.GrainInterfaces;
using IommuFd.Silo.Gateway.Devices;

namespace IommuFd.Silo.Gateway.Descriptors;

/// <summary>A context that programs have open, with the descriptors of its queues.</summary>
internal sealed class OpenedContext(ContextHandle handle, bool isDurable)
{
    private readonly Lock _lock = new();
    private Descriptor[] _queues = [];

    public ContextHandle Handle => handle;

    /// <summary>Whether it outlives its silo, and so can be resumed.</summary>
    public bool IsDurable => isDurable;

    /// <summary>Orders the accesses of devices to what the context maps; null while it has had no device.</summary>
    public DmaFence? FenceIfAny { get; private set; }

    /// <summary>The same, for a device that is being bound.</summary>
    public DmaFence Fence
    {
        get
        {
            lock (_lock)
            {
                return FenceIfAny ??= new DmaFence();
            }
        }
    }

    /// <summary>The pages of its vIOMMUs that programs can map.</summary>
    public ViommuPages Pages { get; } = new();

    /// <summary>The context's own file; null where only files that its ioctls have opened are left.</summary>
    public IommuContext? Context { get; set; }

    /// <summary>The descriptors of its queues.</summary>
    public Descriptor[] Queues => Volatile.Read(ref _queues);

    public void Add(Descriptor queue)
    {
        lock (_lock)
        {
            Volatile.Write(ref _queues, [.. _queues, queue]);
        }
    }

    public void Remove(Descriptor queue)
    {
        lock (_lock)
        {
            Volatile.Write(ref _queues, Array.FindAll(_queues, other => other != queue));
        }
    }
}

/// <summary>
/// What descriptors lead to: a context's own file, one that an ioctl has opened, or a device's. There is one descriptor, whose copies the kernel counts; after a gateway's
/// restart there is one for each copy that was resumed.
/// </summary>
/// <param name="opened">The context.</param>
/// <param name="file">The file that an ioctl has opened; null for the context's own.</param>
/// <param name="name">The name by which it is resumed; null for one that ends with this silo.</param>
/// <param name="owner">The identity whose quota it counts in.</param>
internal sealed class OpenedFile(OpenedContext opened, IommuFile? file, DescriptorName? name, string owner) : IAsyncDisposable
{
    private readonly Lock _lock = new();
    private int _descriptors;
    private bool _isClosed;

    public OpenedContext Opened => opened;

    public IommuFile? File => file;

    /// <summary>The file of an emulated device; null for another one.</summary>
    public VfioDeviceFile? Device { get; init; }

    /// <summary>The group whose file it is, or which has given the device; null for another one.</summary>
    public GroupFile? Group { get; init; }

    /// <summary>The dma-buf that it is; null for another file.</summary>
    public DmaBuf? DmaBuf { get; init; }

    /// <summary>Whether it leads to a device, a group or a dma-buf, and not to a context.</summary>
    public bool IsOfDevices => Device is not null || Group is not null || DmaBuf is not null;

    /// <summary>Of a device, the N of its <c>vfioN</c>; of a group, its number; of a dma-buf, its pages of 4 KiB.</summary>
    public int Number { get; init; }

    public DescriptorName? Name => name;

    public string Owner => owner;

    /// <summary>Whether another gateway had it before.</summary>
    public bool IsResumed { get; init; }

    /// <summary>One descriptor more leads to it.</summary>
    /// <returns>False if it is closed.</returns>
    public bool TryJoin()
    {
        lock (_lock)
        {
            _descriptors += _isClosed ? 0 : 1;
            return !_isClosed;
        }
    }

    /// <summary>One descriptor less leads to it.</summary>
    public void Leave()
    {
        lock (_lock)
        {
            _descriptors--;
        }
    }

    /// <summary>Closes it, if no descriptor leads to it.</summary>
    /// <returns>Whether this call has closed it. The caller disposes it then.</returns>
    public bool TryClose()
    {
        lock (_lock)
        {
            var closes = _descriptors == 0 && !_isClosed;
            _isClosed |= closes;
            return closes;
        }
    }

    public async ValueTask DisposeAsync()
    {
        DmaBuf?.Close();
        await (Device?.DisposeAsync() ?? file?.DisposeAsync() ?? opened.Context?.DisposeAsync() ?? ValueTask.CompletedTask);
        await (Group?.LeaveAsync() ?? Task.CompletedTask);
    }
}
