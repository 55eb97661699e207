using IommuFd.Client;
using IommuFd.Devices.Pci;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Devices.Vfio;

/// <summary>The descriptors of a C# program that uses device files: contexts of the SDK, and interrupts. Thread-safe.</summary>
/// <param name="client">The client that has opened the contexts.</param>
public sealed class VfioProgram(IommufdClient client) : IVfioFiles
{
    private readonly Lock _lock = new();
    private readonly Dictionary<int, object> _files = [];
    private readonly Dictionary<ContextHandle, DmaFence> _fences = [];
    private int _next = 3;

    /// <summary>Gives a context a descriptor.</summary>
    /// <param name="context">The context. What it maps, devices reach.</param>
    /// <returns>The descriptor.</returns>
    public int Add(IommuContext context) => AddFile(context ?? throw new ArgumentNullException(nameof(context)));

    /// <summary>Gives an interrupt a descriptor, like an eventfd's.</summary>
    /// <param name="interrupt">What is told.</param>
    /// <returns>The descriptor.</returns>
    public int Add(IInterrupt interrupt) => AddFile(interrupt ?? throw new ArgumentNullException(nameof(interrupt)));

    /// <summary>Closes a descriptor. What it has led to stays as it is.</summary>
    /// <param name="fileDescriptor">The descriptor.</param>
    /// <returns>Whether it was open.</returns>
    public bool Remove(int fileDescriptor)
    {
        lock (_lock)
        {
            return _files.Remove(fileDescriptor);
        }
    }

    /// <summary>
    /// Waits for the accesses of devices to a context's memory that are under way: after an unmap, or before dirty pages are copied. The memory itself refuses accesses
    /// once <see cref="IommuContext.UnmapAsync"/> has completed.
    /// </summary>
    /// <param name="context">The context.</param>
    /// <returns>Completes when they have ended.</returns>
    public Task DrainAsync(IommuContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        return FenceOf(context.Handle).DrainAsync();
    }

    /// <inheritdoc/>
    public async ValueTask<VfioFound<VfioContext>> FindContextAsync(int fileDescriptor, string driver, CancellationToken cancellationToken)
    {
        if (Find(fileDescriptor) is not IommuContext context)
        {
            return new VfioFound<VfioContext>(Find(fileDescriptor) is null ? Errno.EBADF : Errno.EBADFD);
        }

        var taken = await client.GetDriverAsync(context.Handle, driver, cancellationToken);
        return new VfioFound<VfioContext>(Errno.None, new VfioContext(taken, new CallerDmaMemory(context.Memory), FenceOf(context.Handle)));
    }

    /// <inheritdoc/>
    public VfioFound<IInterrupt> FindInterrupt(int fileDescriptor) => Find(fileDescriptor) switch
    {
        null => new VfioFound<IInterrupt>(Errno.EBADF),
        IInterrupt interrupt => new VfioFound<IInterrupt>(Errno.None, interrupt),
        _ => new VfioFound<IInterrupt>(Errno.EINVAL),
    };

    private object? Find(int fileDescriptor)
    {
        lock (_lock)
        {
            return _files.GetValueOrDefault(fileDescriptor);
        }
    }

    private DmaFence FenceOf(ContextHandle context)
    {
        lock (_lock)
        {
            return _fences.TryGetValue(context, out var fence) ? fence : _fences[context] = new DmaFence();
        }
    }

    private int AddFile(object file)
    {
        lock (_lock)
        {
            _files.Add(_next, file);
            return _next++;
        }
    }
}
