using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace IommuFd.GrainInterfaces;

// What travels with a call besides its arguments: the trace that it belongs to, under the names that Orleans' own propagation uses, so that either side may be without ours;
// and, with few calls, when they were sent. It travels in the RequestContext, which costs a dictionary on both sides: so only traced and timed calls have one.

/// <summary>Marks on calls, and what is read from them.</summary>
internal static class CallHeaders
{
    private const string TraceParent = "traceparent";
    private const string TraceState = "tracestate";
    private const string SentAt = "iommufd.sent";

    // What a call has that is timed and belongs to no recorded trace, so that one look tells whether a call is marked at all. To others it is a trace that nobody records.
    private const string Unrecorded = "00-00000000000000000000000000000001-0000000000000001-00";

    // The share of calls that say when they were sent.
    private const double TimedRatio = 1.0 / 1024;

    [ThreadStatic]
    private static int _left;

    /// <summary>Whether the current activity is one of ours that is recorded.</summary>
    public static bool IsTraced
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => IommufdTelemetry.Source.HasListeners() && IsCurrentOurs();
    }

    /// <summary>Whether the call that is about to be sent is to be timed. Answers for one call.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsTimed() => SampleEvery.Take(ref _left, TimedRatio);

    /// <summary>Marks the calls that are sent until the scope is disposed of, on this very thread, with the current activity.</summary>
    /// <param name="isTimed">Whether they say when they were sent.</param>
    public static Scope Put(bool isTimed)
    {
        var before = (RequestContext.Get(TraceParent), RequestContext.Get(TraceState), RequestContext.Get(SentAt));
        if (IsTraced && Activity.Current is { } activity)
        {
            Set(TraceParent, activity.Id);
            Set(TraceState, activity.TraceStateString);
        }
        else if (isTimed && before.Item1 is null)
        {
            Set(TraceParent, Unrecorded);
        }

        Set(SentAt, isTimed ? DateTime.UtcNow.Ticks : null);
        return new Scope(before);
    }

    /// <summary>What says which trace the call belongs to that runs now; null where it is not marked at all.</summary>
    public static object? Current
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => RequestContext.Get(TraceParent);
    }

    /// <summary>Reads the trace that a call belongs to.</summary>
    /// <param name="mark">Its <see cref="Current"/>.</param>
    /// <param name="parent">The caller's span; default where it has none.</param>
    /// <returns>Null where the call belongs to no trace; false where it belongs to one that is not recorded.</returns>
    public static bool? ReadTrace(object? mark, out ActivityContext parent)
    {
        parent = default;
        return mark is string header && ActivityContext.TryParse(header, RequestContext.Get(TraceState) as string, isRemote: true, out parent)
            ? (parent.TraceFlags & ActivityTraceFlags.Recorded) != 0
            : null;
    }

    /// <summary>How long ago the call was sent, by the clocks of both sides; null where it does not say.</summary>
    public static TimeSpan? ReadAge()
        => RequestContext.Get(SentAt) is long sent && TimeSpan.FromTicks(DateTime.UtcNow.Ticks - sent) is { } age && age >= TimeSpan.Zero ? age : null;

    private static bool IsCurrentOurs() => Activity.Current is { Recorded: true } current && current.Source == IommufdTelemetry.Source;

    private static void Set(string key, object? value)
    {
        if (value is null)
        {
            RequestContext.Remove(key);
        }
        else
        {
            RequestContext.Set(key, value);
        }
    }

    /// <summary>Until when calls are marked.</summary>
    internal readonly struct Scope((object?, object?, object?) before) : IDisposable
    {
        public void Dispose()
        {
            Set(TraceParent, before.Item1);
            Set(TraceState, before.Item2);
            Set(SentAt, before.Item3);
        }
    }
}
