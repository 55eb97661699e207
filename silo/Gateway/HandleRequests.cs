using System.Text;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.GrainInterfaces.Wire;
using IommuFd.Uapi;

namespace IommuFd.Silo.Gateway;

// The SDK at the other end names its requests, repeats them and renews its leases, as it does with Orleans' client. So here each request is one call of the context's
// grain, under the name that it came with, or an ioctl's part of one.

/// <summary>The requests of one connection that name contexts by handle.</summary>
internal sealed class HandleRequests(GatewayContexts contexts, CallsConnection connection, GatewayPeer peer)
{
    private const int MaxKnown = 1024;

    // Only the connection's reader looks here.
    private readonly Dictionary<Guid, ContextCalls> _known = [];

    /// <summary>Whether a frame is such a request.</summary>
    public static bool Has(FrameKind kind) => kind is FrameKind.HandleIoctl or FrameKind.HandleBatch or FrameKind.Call or FrameKind.Grant;

    /// <summary>Begins a request.</summary>
    /// <returns>False for a frame that is none.</returns>
    public bool TryHandle(Frame frame)
    {
        switch (frame.Kind)
        {
            case FrameKind.HandleIoctl:
                var ioctl = IoctlFrame.Read(frame.Body, byHandle: true);
                connection.Begin(frame, isIoctl: false);
                Run(frame, (Calls: Find(ioctl.Start.Ticket), ioctl), static call => CombinedIoctl.SendAsync(call.Calls, call.ioctl.Request, call.ioctl.Start.Operation), HandleIoctl.WriteAnswer);
                return true;
            case FrameKind.HandleBatch:
                var (handle, batch, operation) = HandleIoctl.ReadBatch(frame.Body);
                connection.Begin(frame, isIoctl: false);
                Run(frame, (Calls: Find(handle.Value), batch, operation), static call => call.Calls.IoctlBatchAsync(call.batch, call.operation).AsTask(), HandleIoctl.WriteAnswer);
                return true;
            case FrameKind.Call:
                var asked = CallFrame.Read(frame.Body);
                Call(frame, Find(asked.Handle), asked.Method, asked.Message, isOfAll: asked.Handle == default);
                return true;
            case FrameKind.Grant:
                var (granted, grantee) = GrantFrame.Read(frame.Body);
                connection.Begin(frame, isIoctl: false);
                Run(frame, (Calls: Find(granted), granted, grantee), grant => GrantAsync(grant.Calls, grant.granted, grant.grantee), GrantFrame.WriteAnswer);
                return true;
            default:
                return false;
        }
    }

    private ContextCalls Find(Guid handle)
    {
        if (!_known.TryGetValue(handle, out var calls))
        {
            if (_known.Count == MaxKnown)
            {
                _known.Clear();
            }

            _known.Add(handle, calls = contexts.Calls(peer.Identity, handle));
        }

        return calls;
    }

    private void Call(Frame frame, ContextCalls calls, CallMethod method, byte[] message, bool isOfAll)
    {
        switch (method)
        {
            case CallMethod.Open:
                // The service counts contexts by who opens them: here, by identity.
                var client = contexts.ClientOf(peer.Identity);
                Call<OpenRequest, Referred>(
                    frame, calls, message, async (calls, request) => new Referred(await calls.OpenAsync(request with { Client = client, ClientLimit = contexts.Settings.MaxContexts }), calls.Key), opened => Opened(opened));
                break;
            case CallMethod.Get:
                Call<GetRequest, Referred>(frame, calls, message, async static (calls, request) => new Referred(await calls.GetAsync(request), calls.Key), Got);
                break;
            case CallMethod.Put:
                Call<PutCall, PutReply>(frame, calls, message, static (calls, put) => calls.PutAsync(put.Reference));
                break;
            case CallMethod.Renew:
                Call<RenewCall, RenewReply>(frame, calls, message, static (calls, renew) => calls.RenewAsync(renew.References));
                break;
            case CallMethod.BatchRest:
                var rest = WireJson.Read<RestCall>(message);
                connection.Begin(frame, isIoctl: false);
                Run(frame, (calls, rest), static call => call.calls.IoctlBatchRestAsync(call.rest.Operation, call.rest.From).AsTask(), static (writer, tag, batch) =>
                    HandleIoctl.WriteAnswer(writer, tag, batch, FrameKind.Call));
                break;
            case CallMethod.Driver:
                Call<DriverCallMessage, DriverReply>(frame, calls, message, static (calls, driver) => calls.DriverAsync(driver.Reference, driver.Request, driver.Operation).AsTask());
                break;
            case CallMethod.File:
                Call<FileCallMessage, FileReply>(frame, calls, message, static (calls, file) => calls.FileAsync(file.Target, file.Request, file.Operation).AsTask());
                break;
            case CallMethod.Poll:
                Call<PollCall, PollReply>(frame, calls, message, static (calls, poll) => calls.PollFileAsync(poll.Target, poll.Wait).AsTask());
                break;
            case CallMethod.Inspect:
                Call<InspectRequest, ContextInspection>(frame, calls, message, static (calls, request) => calls.InspectAsync(request, CancellationToken.None));
                break;
            case CallMethod.InspectObject:
                Call<ObjectCall, ObjectAnswer>(frame, calls, message, async static (calls, asked) => new ObjectAnswer(await calls.InspectObjectAsync(asked.Id, asked.Page)));
                break;
            case CallMethod.InspectGraph:
                Call<GraphRequest, HolderGraph>(frame, calls, message, static (calls, request) => calls.InspectGraphAsync(request));
                break;
            case CallMethod.ExplainBusy:
                Call<ExplainCall, BusyExplanation>(frame, calls, message, static (calls, asked) => calls.ExplainBusyAsync(asked.Id));
                break;
            case CallMethod.Tail:
                Call<TailRequest, TailReply>(frame, calls, message, static (calls, request) => calls.TailAsync(request));
                break;
            case CallMethod.ListFaults:
                Call<FaultQuery, FaultPage>(
                    frame, calls, message, (calls, query) => isOfAll ? contexts.Faults.OwnAsync(peer.Identity, query) : contexts.Faults.OfAsync(query with { Context = calls.Key.Tag }));
                break;
            default:
                throw FrameException.Malformed($"there is no method {(byte)method}");
        }
    }

    private void Opened(Referred opened)
    {
        if (opened.Reply.Errno == Errno.None)
        {
            contexts.NoteOpened(peer, opened.Key.Tag);
            Got(opened);
        }
    }

    private void Got(Referred referred)
    {
        if (referred.Reply.Errno == Errno.None)
        {
            contexts.Faults.NoteOwner(peer.Identity, referred.Key.Tag);
        }
    }

    private void Call<TRequest, TReply>(Frame frame, ContextCalls calls, byte[] message, Func<ContextCalls, TRequest, Task<TReply>> call, Action<TReply>? note = null)
    {
        var request = WireJson.Read<TRequest>(message);
        connection.Begin(frame, isIoctl: false);
        Run(frame, (calls, request, call, note), async static made =>
            {
                var reply = await made.call(made.calls, made.request);
                made.note?.Invoke(reply);
                return reply;
            }, static (writer, tag, reply) => CallAnswer.Write(writer, FrameKind.Call, tag, CallStatus.Answered, WireJson.Write(reply)));
    }

    // Only an open context can be granted: a handle of one that does not exist would lead nowhere, and the caller may not own it.
    private async Task<GrantReply> GrantAsync(ContextCalls calls, Guid handle, string grantee)
    {
        if (!GatewayIdentity.IsValid(grantee))
        {
            return new GrantReply(Errno.EINVAL, default);
        }

        if (await calls.InspectAsync(new InspectRequest(default, 1, WithState: false), CancellationToken.None) is { Errno: not Errno.None } refused)
        {
            return new GrantReply(refused.Errno, default);
        }

        contexts.NoteGranted(peer.Identity, calls.Key.Tag, grantee);
        return new GrantReply(Errno.None, new ContextHandle(contexts.Grant(peer.Identity, handle, grantee)));
    }

    private void Run<TState, TReply>(Frame frame, TState state, Func<TState, Task<TReply>> call, Action<FrameWriter, uint, TReply> write)
        => _ = RunAsync(frame.Kind, frame.Tag, frame.Body.Length, state, call, write);

    private async Task RunAsync<TState, TReply>(FrameKind kind, uint tag, int bytes, TState state, Func<TState, Task<TReply>> call, Action<FrameWriter, uint, TReply> write)
    {
        try
        {
            var reply = await call(state);
            connection.Finish(tag, bytes, (tag, reply, write), static (writer, answer) => answer.write(writer, answer.tag, answer.reply));
        }
        catch (Exception exception)
        {
            // Also what a context throws for a message that no client of ours makes.
            var status = exception is ContextUnavailableException ? CallStatus.Unavailable : CallStatus.NoAnswer;
            connection.Finish(tag, bytes, (kind, tag, status, exception), static (writer, failed) =>
                CallAnswer.Write(writer, failed.kind, failed.tag, failed.status, Encoding.UTF8.GetBytes(failed.exception.Message)));
        }
    }
}
