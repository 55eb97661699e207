using System.Diagnostics;
using System.Globalization;
using IommuFd.Cli.Running;
using IommuFd.Client;
using IommuFd.GrainInterfaces;

namespace IommuFd.Cli.Faults;

// A program learns of the end of an access, if at all, after the silo has noted it. So before a call is written the silo is asked, and what was refused until the call's
// end comes first. Only while the program has a device: the question takes longer than most calls.

/// <summary>Finds the DMA that the IOMMU refuses to the devices of a traced program, at its place among the program's calls.</summary>
/// <param name="socket">The gateway's socket.</param>
/// <param name="isOwn">Whether the silo has no other programs.</param>
/// <param name="take">Takes each fault.</param>
internal sealed class FaultWatch(string socket, bool isOwn, Action<RecordedDmaFault> take)
{
    /// <summary>How often to ask while the program makes no calls.</summary>
    public static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);

    private readonly DateTime _started = DateTime.UtcNow;
    private readonly HashSet<int> _processes = [];
    private readonly List<RecordedDmaFault> _waiting = [];
    private IommufdClient? _client;
    private FaultMark[] _marks = [];
    private bool _isBroken;

    /// <summary>A call is about to be written: takes what was refused before its end.</summary>
    public void Before(TraceRecord record)
    {
        _processes.Add(record.Process);
        if (_client is null && !_isBroken && record.BindsDevice)
        {
            _client = new IommufdClient(socket, new IommufdClientOptions { Name = "iommufd run", RetryFor = TimeSpan.FromSeconds(2) });
        }

        var ended = Stopwatch.GetElapsedTime((long)(record.StartNanoseconds + record.Nanoseconds), Stopwatch.GetTimestamp());
        Take(DateTime.UtcNow - ended);
    }

    /// <summary>Takes all there is.</summary>
    public void TakeAll() => Take(DateTime.MaxValue);

    private void Take(DateTime until)
    {
        if (_client is not null)
        {
            Ask(_client);
        }

        foreach (var fault in _waiting.Where(fault => fault.Time <= until))
        {
            take(fault);
        }

        _waiting.RemoveAll(fault => fault.Time <= until);
    }

    // The listener's thread has nothing else to do.
    private void Ask(IommufdClient client)
    {
        try
        {
            var page = client.ListFaultsAsync(new FaultQuery(null, _marks, FaultQuery.MaxLimit)).GetAwaiter().GetResult();
            _marks = page.Marks;
            _waiting.AddRange(page.Faults.Where(fault => fault.Time >= _started && (isOwn || IsOfProgram(fault))));
        }
        catch (Exception exception) when (exception is IommufdTransportException or IommufdException)
        {
            (_client, _isBroken) = (null, true);
            Terminal.Error($"iommufd run: refused DMA is not shown from here on: {exception.Message}");
        }
    }

    private bool IsOfProgram(RecordedDmaFault fault)
        => _processes.Any(process => fault.Opener.EndsWith(string.Create(CultureInfo.InvariantCulture, $"[{process}]"), StringComparison.Ordinal));
}
