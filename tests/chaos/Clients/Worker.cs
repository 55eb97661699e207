using System.Diagnostics;
using IommuFd.Chaos.Outages;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Linearizability;

namespace IommuFd.Chaos.Clients;

/// <summary>Counts of what clients observed.</summary>
/// <param name="Acknowledged">Number of ioctls that were answered.</param>
/// <param name="Unknown">Number of ioctls that got no answer and may have run.</param>
/// <param name="NotRun">Number of ioctls that got no answer and did not run.</param>
/// <param name="Longest">The longest time that one took, in milliseconds, answered or not.</param>
internal sealed record Tally(long Acknowledged, long Unknown, long NotRun, long Longest)
{
    public static readonly Tally None = new(0, 0, 0, 0);

    public static Tally operator +(Tally one, Tally other)
        => new(one.Acknowledged + other.Acknowledged, one.Unknown + other.Unknown, one.NotRun + other.NotRun, Math.Max(one.Longest, other.Longest));
}

/// <summary>One client of a context: issues one ioctl after the other on its own file, and records what it observes.</summary>
/// <param name="context">The client's file.</param>
/// <param name="client">The client's number.</param>
/// <param name="history">Where it records what it observes.</param>
/// <param name="report">Called with each call that took long.</param>
internal sealed class Worker(IommuContext context, int client, HistoryWriter history, Action<Outage> report)
{
    /// <summary>The address of the memory that is mapped.</summary>
    public const ulong MemoryAddress = 0x10_0000;

    /// <summary>The number of its pages.</summary>
    public const int MemoryPages = 16;

    private const int PageBytes = 4096;

    private const int Memfd = 900;

    // What one client has mapped is compared with the memory of another, in another process: it is the same only where both have mapped one file.
    private static readonly UserFile SharedMemory = new("the clients' memory", IsMemfd: true, MemoryPages * PageBytes);

    private readonly CallerMemory _memory = new CallerMemory()
        .AddFile(Memfd, SharedMemory, new byte[MemoryPages * PageBytes])
        .MapFile(MemoryAddress, Memfd)
        .Add(CallerStructs.Address, CallerStructs.ToArray());

    /// <summary>The counts so far.</summary>
    public Tally Tally { get; private set; } = Tally.None;

    /// <summary>Issues an ioctl.</summary>
    /// <returns>The answer; null if none came.</returns>
    public async Task<IoctlResult?> IssueAsync(Ioctl ioctl)
    {
        var operation = history.Invoke(client, ioctl);
        var start = Stopwatch.GetTimestamp();
        try
        {
            var result = await context.IoctlAsync(ioctl.Command, ioctl.Argument.ToArray(), _memory);
            history.Complete(operation, result.Errno, result.Argument);
            Count(new Tally(1, 0, 0, 0), start);
            return result;
        }
        catch (IommufdTransportException exception)
        {
            if (exception.Outcome == TransportOutcome.NotRun)
            {
                history.NotRun(operation);
                Count(new Tally(0, 0, 1, 0), start);
            }
            else
            {
                Count(new Tally(0, 1, 0, 0), start);
            }

            return null;
        }
    }

    /// <summary>Issues the next ioctl of a mix, and lets the mix learn from the answer.</summary>
    public async Task IssueAsync(IoctlMix mix)
    {
        var ioctl = mix.Next();
        if (await IssueAsync(ioctl) is { } result)
        {
            mix.Learn(ioctl, new IoctlAnswer(result.Errno, result.Argument ?? []));
        }
    }

    private void Count(Tally one, long start)
    {
        Tally += one with { Longest = (long)Stopwatch.GetElapsedTime(start).TotalMilliseconds };
        if (Outage.Since(start) is { } outage)
        {
            report(outage);
        }
    }
}
