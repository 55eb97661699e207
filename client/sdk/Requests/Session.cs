using System.Security.Cryptography;
using IommuFd.GrainInterfaces;

namespace IommuFd.Client;

// What makes requests of one file or driver happen once: they are numbered, and each says which of those before it need no answer any more (settled), so that
// the service keeps few answers and refuses what comes late.
//
// Always: every number up to Settled has its answer or was given up, and Last - Settled is at most IoctlLimits.MaxUnsettled, the answers that the
// service keeps for a session. A request that gets no answer holds Settled back; those behind it go on until there is no room, and then wait in order.

/// <summary>The requests of one file or driver that wait for their answers. Thread-safe.</summary>
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

    /// <summary>The session's name.</summary>
    public long Id { get; } = NewId();

    /// <summary>What requests are sent with.</summary>
    public ClientCore Core => core;

    /// <summary>Requests that were answered so far: each was a sign of life.</summary>
    public long Answered => Volatile.Read(ref _answered);

    /// <summary>A random number that can stand for somebody: not 0, which is nobody.</summary>
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

    /// <summary>Gives a request its number, if there is room and nobody waits for it.</summary>
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

    /// <summary>Gives a request its number as soon as there is room, in the order of asking.</summary>
    /// <exception cref="OperationCanceledException">The token was cancelled before; the request has no number.</exception>
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

    /// <summary>Settles a request: it has its answer, or was given up.</summary>
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

    /// <summary>Finds requests whose first attempt has had its time.</summary>
    /// <returns>Whether there is anything to watch; if not, this session is no longer watched.</returns>
    public bool FindOverdue(int now, List<SessionRequest> overdue)
    {
        lock (_lock)
        {
            for (var sequence = _settled + 1; sequence <= _last; sequence++)
            {
                if (this[sequence] is { } request && request.IsOverdue(now))
                {
                    overdue.Add(request);
                }
            }

            return _isWatched = _settled < _last;
        }
    }

    private bool HasRoom => _last - _settled < IoctlLimits.MaxUnsettled;

    private ref SessionRequest? this[long sequence] => ref _window[(int)sequence & (_window.Length - 1)];

    // Answers whether the session has to be watched from now on, which the caller does outside of the lock.
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

    /// <summary>A request that has no number yet.</summary>
    private sealed class RoomWaiter(Session session, SessionRequest request) : TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)
    {
        public SessionRequest Request => request;

        public LinkedListNode<RoomWaiter>? Place { get; set; }

        // Whoever takes it from the line decides what becomes of it.
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
