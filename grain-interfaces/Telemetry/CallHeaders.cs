using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace IommuFd.GrainInterfaces;

// What travels with a call besides its arguments: the trace that it belongs to, under the names of Orleans' own propagation, so that either
// side may lack ours; and, with few calls, when they were sent. It travels in the RequestContext, which costs a dictionary on both sides,
// so only traced and timed calls have one.

/// <summary>Writes and reads the marks on calls.</summary>
internal static class CallHeaders
{
    private const string TraceParent = "traceparent";
    private const string TraceState = "tracestate";
    private const string SentAt = "iommufd.sent";

    // Placeholder traceparent of a call that is timed but not traced, so that one lookup tells whether a call is marked. Other tracers see
    // an unsampled trace.
    private const string Unrecorded = "00-00000000000000000000000000000001-0000000000000001-00";

    // The share of calls that say when they were sent.
    private const double TimedRatio = 1.0 / 1024;

    [ThreadStatic]
    private static int _left;

    /// <summary>Whether the current activity is ours and recorded.</summary>
    public static bool IsTraced
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => IommufdTelemetry.Source.HasListeners() && IsCurrentOurs();
    }

    /// <summary>Decides whether the next call is timed. Each result is for one call.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsTimed() => SampleEvery.Take(ref _left, TimedRatio);

    /// <summary>Marks the calls sent on this thread, until the scope is disposed, with the current activity.</summary>
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

    /// <summary>The mark that says which trace the running call belongs to; null if the call is not marked.</summary>
    public static object? Current
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => RequestContext.Get(TraceParent);
    }

    /// <summary>Reads the trace that a call belongs to.</summary>
    /// <param name="mark">Its <see cref="Current"/>.</param>
    /// <param name="parent">The caller's span; default if it has none.</param>
    /// <returns>Null if the call belongs to no trace; false if it belongs to one that is not recorded.</returns>
    public static bool? ReadTrace(object? mark, out ActivityContext parent)
    {
        parent = default;
        return mark is string header && ActivityContext.TryParse(header, RequestContext.Get(TraceState) as string, isRemote: true, out parent)
            ? (parent.TraceFlags & ActivityTraceFlags.Recorded) != 0
            : null;
    }

    /// <summary>The time since the call was sent, by the clocks of both sides; null if it is not marked or the clocks disagree.</summary>
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

    /// <summary>Restores the previous marks when disposed.</summary>
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
