using System.Diagnostics;
using System.Runtime.CompilerServices;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Grains.Telemetry;

// Whether a turn is traced must be known before it begins, at next to no cost if it is not. Orleans' own propagation would put a filter, a
// state machine and an activity around every call of every grain. Here the grains check for themselves: is there a listener, does the call
// belong to a trace, and if not, is it chosen to begin one?

/// <summary>The spans of turns.</summary>
internal static class TurnSpans
{
    /// <summary>Whether the context's turn that begins now gets a span. Records how long its request has waited, if known.</summary>
    /// <param name="telemetry">The silo's telemetry.</param>
    /// <param name="parent">The caller's span, if any.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsWanted(TurnTelemetry telemetry, out ActivityContext parent)
    {
        parent = default;
        var isTracing = IommufdTelemetry.Source.HasListeners();
        return (isTracing || telemetry.MeasuresQueueTime) && IsWantedNow(telemetry, isTracing, out parent);
    }

    /// <summary>
    /// Starts the span of a context's turn, which lasts until the reply. It is the turn's current activity, where its calls to objects find
    /// it.
    /// </summary>
    /// <param name="method">The method.</param>
    /// <param name="parent">The caller's span.</param>
    /// <param name="key">The context.</param>
    /// <param name="silo">The silo.</param>
    public static Activity? Start(string method, ActivityContext parent, ContextKey key, SiloAddress? silo)
    {
        var span = CallSpan.Start(ActivityKind.Server, method, parent);
        span?.SetContext(key);
        if (span is not null && silo is not null)
        {
            span.SetTag(SpanTags.ServerAddress, silo.Endpoint.Address.ToString()).SetTag(SpanTags.ServerPort, silo.Endpoint.Port);
        }

        return span;
    }

    /// <summary>Runs a turn within its span.</summary>
    public static async ValueTask<TReply> RunAsync<TState, TReply>(Activity? span, TState state, Func<TState, ValueTask<TReply>> turn, Func<TReply, Errno> errnoOf)
    {
        try
        {
            var reply = await turn(state);
            span?.End(errnoOf(reply));
            return reply;
        }
        catch (Exception exception)
        {
            span?.End(exception);
            throw;
        }
    }

    /// <summary>Starts the span of an object's turn if the call belongs to a recorded trace: objects begin no traces.</summary>
    /// <param name="grain">The name of the grain's class.</param>
    /// <param name="method">The method.</param>
    /// <param name="activation">The grain's activation, whose key ends with the object's id; null where its context keeps the object.</param>
    /// <param name="kept">The object's id, where its context keeps it.</param>
    public static Activity? StartObject(string grain, string method, IGrainContext? activation, ObjectId kept)
    {
        if (!IommufdTelemetry.Source.HasListeners() || CallHeaders.ReadTrace(CallHeaders.Current, out var parent) != true)
        {
            return null;
        }

        var key = activation?.GrainId.Key.ToString() ?? kept.ToString();
        return CallSpan.Start(ActivityKind.Server, ObjectMethod(grain, method), parent)?.SetTag(SpanTags.ObjectId, key[(key.IndexOf('/') + 1)..]);
    }

    /// <summary>The span name of an object's method: <c>iommufd.Ioas/Map</c> for IoasGrain.MapAsync.</summary>
    public static string ObjectMethod(string grain, string method)
        => $"{CallSpan.Prefix}{Trim(grain, "Grain")}/{Trim(method, "Async")}";

    private static bool IsWantedNow(TurnTelemetry telemetry, bool isTracing, out ActivityContext parent)
    {
        parent = default;
        if (CallHeaders.Current is not { } mark)
        {
            return isTracing && RootSampling.Choose();
        }

        telemetry.NoteQueueTime();
        return isTracing && (CallHeaders.ReadTrace(mark, out parent) ?? RootSampling.Choose());
    }

    private static string Trim(string name, string end) => name.EndsWith(end, StringComparison.Ordinal) ? name[..^end.Length] : name;
}
