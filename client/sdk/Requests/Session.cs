using System.Security.Cryptography;
using IommuFd.GrainInterfaces;

namespace IommuFd.Client;

// How the requests of one file or driver run exactly once: they are numbered, and each says up to which number all are settled. The service then keeps few answers, and
// refuses requests that come late.
//
// Always: every request up to Settled was answered or given up, and Last - Settled is at most IoctlLimits.MaxUnsettled, the number of answers that the service keeps for a
// session. A request without an answer holds Settled back. Later requests go on while there is room, and then wait in order.

/// <summary>The requests of one file or driver that are under way. Thread-safe.</summary>
internal sealed class Session(ClientCore core)
{
    private const int FirstWindow = 4;

    private readonly Lock _lock = new();
    private SessionRequest?[] _window = new SessionRequest?[FirstWindow];
    private LinkedList<RoomWaiter>? _waiting;
    private long _last;
    private long _settled;
    private long _answered;
    private bool _isWatched;

    /// <summary>The session's name: a random number, but for a file that an ioctl has opened.</summary>
    public long Id { get; init; } = NewId();

    /// <summary>The lane of the session that its numbers are of: 0 for a session that begins here, a random one where it began elsewhere.</summary>
    public long Lane { get; init; }

    /// <summary>What the files and drivers of a client share.</summary>
    public ClientCore Core => core;

    /// <summary>How many requests have been answered. Each was a sign of life.</summary>
    public long Answered => Volatile.Read(ref _answered);

    /// <summary>A random number other than 0, which stands for no session.</summary>
    public static long NewId()
    {
        Span<byte> bytes = stackalloc byte[sizeof(long)];
        long id;
        do
        {
            RandomNumberGenerator.Fill(bytes);
            id = BitConverter.ToInt64(bytes);
        }
        while (id == 0);

        return id;
    }

    /// <summary>Gives a request its number, if there is room and no other request waits.</summary>
    public bool TryBegin(SessionRequest request)
    {
        bool isNew;
        lock (_lock)
        {
            if (_waiting is { Count: > 0 } || !HasRoom)
            {
                return false;
            }

            isNew = Add(request);
        }

        WatchIf(isNew);
        return true;
    }

    /// <summary>Gives a request its number as soon as there is room, in the order of the calls.</summary>
    /// <exception cref="OperationCanceledException">The token was cancelled first. The request has no number.</exception>
    public async ValueTask BeginAsync(SessionRequest request, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        var isNew = false;
        RoomWaiter? waiter = null;
        lock (_lock)
        {
            if (_waiting is { Count: > 0 } || !HasRoom)
            {
                waiter = new RoomWaiter(this, request);
                waiter.Place = (_waiting ??= []).AddLast(waiter);
            }
            else
            {
                isNew = Add(request);
            }
        }

        WatchIf(isNew);
        if (waiter is null)
        {
            return;
        }

        await using var cancellation = cancellationToken.UnsafeRegister(static (state, token) => ((RoomWaiter)state!).Cancel(token), waiter);
        await waiter.Task;
    }

    /// <summary>Settles a request, which was answered or given up.</summary>
    public void End(long sequence, bool isAnswered)
    {
        var isNew = false;
        lock (_lock)
        {
            this[sequence] = null;
            _answered += isAnswered ? 1 : 0;
            while (_settled < _last && this[_settled + 1] is null)
            {
                _settled++;
            }

            while (_waiting?.First is { Value: var waiter } && HasRoom)
            {
                _waiting.RemoveFirst();
                isNew |= Add(waiter.Request);
                waiter.SetResult();
            }
        }

        WatchIf(isNew);
    }

    /// <summary>Finds requests whose first attempt has been under way for more than a number of the watch's checks.</summary>
    /// <returns>Whether a request is under way; if not, the session is no longer watched.</returns>
    public bool FindOverdue(int now, int looks, List<SessionRequest> overdue)
    {
        lock (_lock)
        {
            for (var sequence = _settled + 1; sequence <= _last; sequence++)
            {
                if (this[sequence] is { } request && request.IsOverdue(now, looks))
                {
                    overdue.Add(request);
                }
            }

            return _isWatched = _settled < _last;
        }
    }

    private bool HasRoom => _last - _settled < IoctlLimits.MaxUnsettled;

    private ref SessionRequest? this[long sequence] => ref _window[(int)sequence & (_window.Length - 1)];

    // Returns whether the session must be watched from now on. The caller starts that outside the lock.
    private bool Add(SessionRequest request)
    {
        if (_last - _settled == _window.Length)
        {
            Grow();
        }

        request.Begin(++_last, _settled, core.Watch.Now);
        this[_last] = request;
        var isNew = !_isWatched;
        _isWatched = true;
        return isNew;
    }

    private void Grow()
    {
        var old = _window;
        _window = new SessionRequest?[old.Length * 2];
        for (var sequence = _settled + 1; sequence <= _last; sequence++)
        {
            this[sequence] = old[(int)sequence & (old.Length - 1)];
        }
    }

    private void WatchIf(bool isNew)
    {
        if (isNew)
        {
            core.Watch.Add(this);
        }
    }

    /// <summary>A request that waits for its number.</summary>
    private sealed class RoomWaiter(Session session, SessionRequest request) : TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)
    {
        public SessionRequest Request => request;

        public LinkedListNode<RoomWaiter>? Place { get; set; }

        // Either this or End removes the waiter from the line, and the one that does completes it.
        public void Cancel(CancellationToken cancellationToken)
        {
            lock (session._lock)
            {
                if (Place?.List is not { } line)
                {
                    return;
                }

                line.Remove(Place);
            }

            TrySetCanceled(cancellationToken);
        }
    }
}
