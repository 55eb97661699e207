using System.Globalization;
using IommuFd.GrainInterfaces;

namespace IommuFd.Chaos.Clients;

/// <summary>An order to a client process, and the process's report.</summary>
/// <param name="Round">The context's number in its run.</param>
/// <param name="Handle">The context.</param>
/// <param name="HistoryPath">Where the process writes its clients' history.</param>
/// <param name="Seed">The seed of its clients' ioctls.</param>
/// <param name="Ioctls">How many ioctls each of its clients issues.</param>
internal sealed record WorkOrder(int Round, ContextHandle Handle, string HistoryPath, int Seed, int Ioctls)
{
    public static WorkOrder Parse(string line)
        => line.Split(' ') is ["work", var round, var handle, var path, var seed, var ioctls] && ContextHandle.TryParse(handle, out var parsed)
            ? new WorkOrder(Number(round), parsed, path, Number(seed), Number(ioctls))
            : throw new FormatException($"'{line}' is not an order.");

    /// <summary>What a process prints when it has done the order.</summary>
    public string Done(Tally tally) => string.Create(
        CultureInfo.InvariantCulture, $"done {Round} {tally.Acknowledged} {tally.Unknown} {tally.NotRun} {tally.Longest}");

    /// <summary>Parses what <see cref="Done"/> wrote; null if the line says something else.</summary>
    public static (int Round, Tally Tally)? ParseDone(string line)
        => line.Split(' ') is ["done", var round, var acknowledged, var unknown, var notRun, var longest]
            ? (Number(round), new Tally(Number(acknowledged), Number(unknown), Number(notRun), Number(longest)))
            : null;

    /// <summary>What a process prints when it could not do the order.</summary>
    public string Failed(string why) => string.Create(CultureInfo.InvariantCulture, $"failed {Round} {why.ReplaceLineEndings(" ")}");

    /// <summary>Parses what <see cref="Failed"/> wrote; null if the line says something else.</summary>
    public static (int Round, string Why)? ParseFailed(string line)
        => line.Split(' ', 3) is ["failed", var round, var why] ? (Number(round), why) : null;

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"work {Round} {Handle} {HistoryPath} {Seed} {Ioctls}");

    private static int Number(string text) => int.Parse(text, CultureInfo.InvariantCulture);
}
