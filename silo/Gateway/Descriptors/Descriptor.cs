using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Silo.Gateway.Descriptors;

/// <summary>A program's file descriptor: a connection that the kernel closes with its last copy.</summary>
internal sealed class Descriptor : IAsyncDisposable
{
    private readonly DescriptorSocket _socket;
    private readonly OpenedFile _opened;
    private readonly HashSet<string> _users;
    private readonly TaskCompletionSource _released = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CancellationTokenSource _end = new();
    private readonly CancellationToken _ended;
    private readonly SemaphoreSlim _taken = new(0);
    private readonly Lock _lock = new();
    private readonly TaskCompletionSource _idle = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private bool _isMarked;
    private bool _isEnding;
    private int _requests;

    /// <param name="socket">The connection that it is.</param>
    /// <param name="opened">What it leads to, which counts it already.</param>
    /// <param name="opener">The identity that may use it without having proved that it has it.</param>
    public Descriptor(DescriptorSocket socket, OpenedFile opened, string opener)
    {
        (_socket, _opened, _users) = (socket, opened, [opener]);
        _ended = _end.Token;
    }

    /// <summary>Its name on calls connections.</summary>
    public Guid Ticket { get; } = ContextHandle.NewRandom().Value;

    /// <summary>What it leads to.</summary>
    public OpenedFile Leads => _opened;

    /// <summary>The context.</summary>
    public OpenedContext Opened => _opened.Opened;

    /// <summary>The file that an ioctl has opened; null for the context's own.</summary>
    public IommuFile? File => _opened.File;

    /// <summary>What it is, as RESOLVE answers.</summary>
    public byte Kind => (Leads, File?.Target.Type) switch
    {
        ({ Device: not null }, _) => 5,
        ({ Group: not null }, _) => 6,
        ({ DmaBuf: not null }, _) => 7,
        (_, null) => 1,
        (_, ObjectType.FaultQueue) => 2,
        (_, ObjectType.Access) => 3,
        _ => 4,
    };

    /// <summary>Whether it can be read.</summary>
    public bool IsQueue => File is { Target.Type: not ObjectType.Access };

    /// <summary>Completes when the file is closed, and counts no more.</summary>
    public Task Released => _released.Task;

    /// <summary>Whether every copy of the descriptor is closed.</summary>
    public bool IsOver => _socket.IsOver;

    public bool IsFor(string identity)
    {
        lock (_lock)
        {
            return _users.Contains(identity);
        }
    }

    /// <summary>Someone has proved that they have the descriptor.</summary>
    public void Admit(string identity)
    {
        lock (_lock)
        {
            _users.Add(identity);
        }
    }

    /// <summary>
    /// Begins a request on it: what the descriptor leads to stays open until the request ends, as an ioctl of Linux holds its file when another thread closes the
    /// descriptor.
    /// </summary>
    /// <returns>False if it is closed.</returns>
    public bool TryBegin()
    {
        lock (_lock)
        {
            _requests += _isEnding ? 0 : 1;
            return !_isEnding;
        }
    }

    /// <summary>Ends a request on it.</summary>
    public void End()
    {
        lock (_lock)
        {
            _requests--;
            if (!_isEnding || _requests > 0)
            {
                return;
            }
        }

        _idle.SetResult();
    }

    /// <summary>Lets no more request begin, and waits for those that have.</summary>
    public Task DrainAsync()
    {
        lock (_lock)
        {
            _isEnding = true;
            return _requests == 0 ? Task.CompletedTask : _idle.Task;
        }
    }

    /// <summary>Marks the descriptor from now on.</summary>
    public void Start()
    {
        if (IsQueue)
        {
            _ = WatchAsync();
        }
        else
        {
            // As every file of Linux that has no poll.
            Mark();
        }
    }

    /// <summary>Makes the descriptor readable, if it is not yet.</summary>
    private void Mark()
    {
        lock (_lock)
        {
            if (_isMarked)
            {
                return;
            }

            _isMarked = true;
        }

        _socket.Send([1]);
    }

    /// <summary>Whether the mark is to be taken by one who has found the queue empty.</summary>
    public bool IsMarked
    {
        get
        {
            lock (_lock)
            {
                return _isMarked;
            }
        }
    }

    /// <summary>A program has taken the mark.</summary>
    public void Took()
    {
        lock (_lock)
        {
            if (!_isMarked)
            {
                return;
            }

            _isMarked = false;
        }

        _taken.Release();
    }

    /// <summary>Marks the descriptor if there is something to read now.</summary>
    /// <returns>The ticket if there is nothing, and the mark is to be taken.</returns>
    public async Task<Guid?> LookAsync()
    {
        var isReadable = await IsReadableAsync(TimeSpan.Zero);
        if (isReadable)
        {
            Mark();
        }

        return !isReadable && IsMarked ? Ticket : null;
    }

    /// <summary>Whether there is something to read, at once or within a time.</summary>
    public async Task<bool> IsReadableAsync(TimeSpan wait)
    {
        try
        {
            return (await File!.PollAsync(wait, _ended)).HasFlag(PollEvents.In);
        }
        catch (Exception exception) when (exception is IommufdException or IommufdTransportException or OperationCanceledException)
        {
            return false;
        }
    }

    /// <summary>Marks the descriptor whenever there is something to read, until it is closed.</summary>
    private async Task WatchAsync()
    {
        try
        {
            while (true)
            {
                if (IsMarked)
                {
                    await _taken.WaitAsync(_ended);
                }
                else if (await IsReadableAsync(TimeSpan.FromMinutes(1)))
                {
                    Mark();
                }
                else
                {
                    // Where the context does not answer, the wait was none.
                    await Task.Delay(TimeSpan.FromMilliseconds(100), _ended);
                }
            }
        }
        catch (OperationCanceledException)
        {
            // It is closed.
        }
    }

    /// <summary>Watches no more.</summary>
    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync();
        _end.Dispose();
    }

    /// <summary>Tells those who wait for it that it is closed.</summary>
    public void Release() => _released.SetResult();
}
