using System.Diagnostics;
using System.Runtime.CompilerServices;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Client;

// A span lasts from the program's call to its answer, including all repeats. Meanwhile it is the current activity, where the requests find it. Only traced calls come through
// here: other calls must not pay even for a state machine.

/// <summary>The spans of a program's calls.</summary>
/// <param name="grain">The context that is called.</param>
/// <param name="serverAddress">Where requests go.</param>
internal sealed class TracedCalls(ContextCalls grain, string serverAddress)
{
    /// <summary>Whether a call that is made now gets a span: if there is a listener, and the call belongs to a recorded trace or is chosen to start one.</summary>
    public static bool IsWanted
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => IommufdTelemetry.Source.HasListeners() && IsWantedNow();
    }

    /// <summary>Makes an ioctl.</summary>
    public ValueTask<IoctlReply> IoctlAsync<TState>(uint command, TState state, Func<TState, ValueTask<IoctlReply>> call)
        => RunAsync(CallSpan.Ioctl(command), state, call, static reply => reply.Errno, span => span.SetIoctl(command));

    /// <summary>Makes a batch.</summary>
    public ValueTask<IoctlBatchReply> BatchAsync<TState>(int size, TState state, Func<TState, ValueTask<IoctlBatchReply>> call)
        => RunAsync(CallSpan.Context("batch"), state, call, static reply => reply.Errno, span => span.SetTag(SpanTags.BatchSize, size));

    /// <summary>Makes a driver's request.</summary>
    public ValueTask<DriverReply> DriverAsync<TState>(DriverRequest request, TState state, Func<TState, ValueTask<DriverReply>> call)
        => RunAsync(CallSpan.Driver(request), state, call, static reply => reply.Errno);

    /// <summary>Makes a call of any kind.</summary>
    /// <param name="method">The method.</param>
    /// <param name="state">What the call needs.</param>
    /// <param name="call">Makes the call.</param>
    /// <param name="errnoOf">The errno of an answer.</param>
    /// <param name="describe">Adds tags to the span.</param>
    public async ValueTask<TReply> RunAsync<TState, TReply>(
        string method, TState state, Func<TState, ValueTask<TReply>> call, Func<TReply, Errno> errnoOf, Action<Activity>? describe = null)
    {
        var span = CallSpan.Start(ActivityKind.Client, method);
        if (span is not null)
        {
            span.SetContext(grain.Key);
            span.SetTag(SpanTags.ServerAddress, serverAddress);
            describe?.Invoke(span);
        }

        try
        {
            var reply = await call(state).ConfigureAwait(false);
            span?.End(errnoOf(reply));
            return reply;
        }
        catch (Exception exception)
        {
            span?.End(exception);
            throw;
        }
    }

    /// <summary>Adds an event for a repeat to the span of the call, if there is one.</summary>
    public static void NoteRepeat()
    {
        if (CallHeaders.IsTraced)
        {
            Activity.Current?.AddEvent(new ActivityEvent("iommufd.retry"));
        }
    }

    private static bool IsWantedNow() => Activity.Current is { } current ? current.Recorded : RootSampling.Choose();
}
