using System.Threading.Channels;
using IommuFd.Client;
using IommuFd.Devices;
using IommuFd.Devices.Pci;
using IommuFd.Devices.Vfio;
using IommuFd.TestSupport;
using IommuFd.Uapi;

namespace IommuFd.UnitTests.Devices.Support;

/// <summary>A program's descriptors: contexts, eventfds and others.</summary>
internal sealed class TestProgram(IommufdClient client) : IVfioFiles
{
    private readonly Dictionary<int, object> _files = [];
    private int _next = 3;

    /// <summary>The fence of every context.</summary>
    public DmaFence Fence { get; } = new();

    /// <summary>Opens a context.</summary>
    public async Task<(int Descriptor, IommuContext Context)> OpenContextAsync()
    {
        var context = await client.OpenAsync("program");
        return (Add(context), context);
    }

    /// <summary>Opens an eventfd.</summary>
    public (int Descriptor, TestInterrupt Interrupt) OpenEventFd()
    {
        var interrupt = new TestInterrupt();
        return (Add(interrupt), interrupt);
    }

    /// <summary>Opens a file that is neither.</summary>
    public int OpenOther() => Add("a file");

    public async ValueTask<VfioFound<VfioContext>> FindContextAsync(int fileDescriptor, string driver, CancellationToken cancellationToken)
        => _files.GetValueOrDefault(fileDescriptor) switch
        {
            null => new VfioFound<VfioContext>(Errno.EBADF),
            IommuContext context => new VfioFound<VfioContext>(
                Errno.None,
                new VfioContext(await client.GetDriverAsync(context.Handle, driver, cancellationToken), new CallerDmaMemory(context.Memory), Fence)),
            _ => new VfioFound<VfioContext>(Errno.EBADFD),
        };

    public VfioFound<IInterrupt> FindInterrupt(int fileDescriptor) => _files.GetValueOrDefault(fileDescriptor) switch
    {
        null => new VfioFound<IInterrupt>(Errno.EBADF),
        TestInterrupt interrupt => new VfioFound<IInterrupt>(Errno.None, interrupt),
        _ => new VfioFound<IInterrupt>(Errno.EINVAL),
    };

    private int Add(object file)
    {
        _files.Add(_next, file);
        return _next++;
    }
}

/// <summary>Counts its signals, and lets a test wait for the next.</summary>
internal sealed class TestInterrupt : IInterrupt, IUnmaskSource
{
    private readonly Channel<int> _signals = Channel.CreateUnbounded<int>();
    private Action? _watched;
    private int _count;

    public int Count => Volatile.Read(ref _count);

    public void Signal()
    {
        _signals.Writer.TryWrite(Interlocked.Increment(ref _count));
        _watched?.Invoke();
    }

    public void Watch(Action signalled) => _watched = signalled;

    public async Task WaitAsync(string what)
    {
        try
        {
            await _signals.Reader.ReadAsync().AsTask().WaitAsync(Eventually.Limit);
        }
        catch (TimeoutException)
        {
            Assert.Fail($"No interrupt in {Eventually.Limit}: {what}.");
        }
    }
}
