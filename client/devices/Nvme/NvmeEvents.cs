namespace IommuFd.Devices.Nvme;

/// <summary>An asynchronous event.</summary>
/// <param name="Kind">Its type.</param>
/// <param name="Information">What has happened.</param>
/// <param name="LogPage">The log page that has more of it.</param>
internal readonly record struct NvmeEvent(uint Kind, uint Information, uint LogPage)
{
    public uint Word => Kind | (Information << 8) | (LogPage << 16);
}

// A host asks for events before they come. After one was told, those of its kind are masked until its log page is read.

/// <summary>The asynchronous events of a controller, from one enabling to the next.</summary>
internal sealed class NvmeEvents
{
    private readonly LinkedList<TaskCompletionSource<NvmeOutcome>> _requests = [];
    private readonly List<NvmeEvent> _pending = [];
    private readonly Dictionary<uint, uint> _maskedBy = [];

    /// <summary>ASYNCHRONOUS EVENT REQUEST: ends with an event.</summary>
    public async ValueTask<NvmeOutcome> WaitAsync(CancellationToken stop)
    {
        if (_requests.Count > NvmeIdentify.LimitIndex)
        {
            return NvmeStatus.AsyncEventLimit;
        }

        var request = _requests.AddLast(new TaskCompletionSource<NvmeOutcome>(TaskCreationOptions.RunContinuationsAsynchronously));
        Deliver();
        using (stop.Register(() => request.Value.TrySetResult(NvmeStatus.AbortRequested)))
        {
            var outcome = await request.Value.Task;
            _requests.Remove(request.Value);
            return outcome;
        }
    }

    /// <summary>Tells the host of an event, when it asks. One that was not told yet is told once.</summary>
    public void Raise(NvmeEvent happened)
    {
        if (!_pending.Contains(happened))
        {
            _pending.Add(happened);
            Deliver();
        }
    }

    /// <summary>The log page was read: its events may be told again.</summary>
    public void Clear(uint logPage)
    {
        foreach (var kind in _maskedBy.Where(masked => masked.Value == logPage).Select(masked => masked.Key).ToList())
        {
            _maskedBy.Remove(kind);
        }

        Deliver();
    }

    private void Deliver()
    {
        while (_requests.FirstOrDefault(request => !request.Task.IsCompleted) is { } request
            && _pending.FindIndex(waiting => !_maskedBy.ContainsKey(waiting.Kind)) is >= 0 and var index)
        {
            var told = _pending[index];
            _pending.RemoveAt(index);
            _maskedBy[told.Kind] = told.LogPage;
            request.TrySetResult(new NvmeOutcome(NvmeStatus.Success, told.Word));
        }
    }
}
