using System.Collections.Frozen;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Accesses;
using IommuFd.Grains.Objects.Devices;
using IommuFd.Grains.Objects.Veventqs;
using IommuFd.Uapi;

namespace IommuFd.Grains.Dispatch;

// The constant table of drivers' requests, as IoctlDispatcher has the table of commands: a request's handler, and the rule that says when
// the request has changed the context. A driver acts on what its own reference has made, and on nothing else: a row for a device or an
// access looks it up before its handler runs.

/// <summary>Runs a driver's request.</summary>
internal delegate ValueTask<DriverReply> DriverRequestHandler(IoctlScope scope, ContextReference driver, DriverRequest request);

/// <summary>Leads a driver's request to its handler.</summary>
internal static class DriverDispatcher
{
    private static readonly FrozenDictionary<Type, Row> Table = Build(
        Of<HoldObjectRequest>(DriverHandler.HoldAsync, ChangeRules.OnSuccess),
        Of<DropHoldRequest>(DriverHandler.DropAsync, ChangeRules.OnSuccess),
        Of<BindDeviceRequest>(DriverHandler.BindDevice, ChangeRules.OnSuccess),
        Of<CreateAccessRequest>(DriverHandler.CreateAccess, ChangeRules.OnSuccess),
        OfDevice<UnbindDeviceRequest>(
            static request => request.Device, static (scope, device, _) => DriverHandler.UnbindDeviceAsync(scope, device), ChangeRules.OnSuccess),
        OfDevice<AttachDeviceRequest>(
            static request => request.Device,
            static (scope, device, request) => DeviceAttachHandlers.AttachAsync(scope, device, request.Pasid, request.PageTable.Value),
            ChangeRules.OnSuccess),
        OfDevice<ReplaceDeviceRequest>(
            static request => request.Device,
            static (scope, device, request) => DeviceAttachHandlers.ReplaceAsync(scope, device, request.Pasid, request.PageTable.Value),
            ChangeRules.OnSuccess),
        OfDevice<DetachDeviceRequest>(
            static request => request.Device,
            static (scope, device, request) => DeviceAttachHandlers.DetachAsync(scope, device, request.Pasid),
            ChangeRules.OnSuccess),
        OfDevice<ReportFaultsRequest>(
            static request => request.Device,
            static (scope, device, request) => DeviceFaultHandlers.ReportAsync(scope, device, request.Faults),
            ChangeRules.OnSuccess),
        OfDevice<ReportEventRequest>(
            static request => request.Device, static (scope, device, request) => VeventqHandlers.ReportAsync(scope, device, request.Data), ChangeRules.Always),
        OfDma<TranslateRequest>(static request => request.Device, DeviceDmaHandlers.TranslateAsync),
        OfDma<TakeFaultResponseRequest>(static request => request.Device, DeviceDmaHandlers.TakeResponseAsync),
        OfAccess<DestroyAccessRequest>(
            static request => request.Access, static (scope, access, _) => DriverHandler.DestroyAccessAsync(scope, access), ChangeRules.OnSuccess),
        OfAccess<AttachAccessRequest>(
            static request => request.Access,
            static (scope, access, request) => AccessHandlers.AttachAsync(scope, access, request.Ioas.Value),
            ChangeRules.OnSuccess),
        OfAccess<ReplaceAccessRequest>(
            static request => request.Access,
            static (scope, access, request) => AccessHandlers.ReplaceAsync(scope, access, request.Ioas.Value),
            ChangeRules.OnSuccess),
        OfAccess<DetachAccessRequest>(
            static request => request.Access, static (scope, access, _) => AccessHandlers.DetachAsync(scope, access), ChangeRules.OnSuccess),
        OfAccess<UnpinPagesRequest>(
            static request => request.Access, static (scope, access, request) => AccessHandlers.UnpinAsync(scope, access, request.Pin), ChangeRules.OnSuccess),
        Of<RevokeDmaBufRequest>(DmaBufHandlers.RevokeAsync, ChangeRules.OnSuccess),
        Of<PinPagesRequest>(DriverHandler.PinAsync, ChangeRules.OnSuccess),
        Of<AccessRwRequest>(DriverHandler.CopyAsync, ChangeRules.Never));

    /// <summary>The types of request that have a row.</summary>
    public static IReadOnlyCollection<Type> Requests => Table.Keys;

    /// <summary>Runs what a driver asks of an open context.</summary>
    /// <returns>EBADF without such a driver's reference, EOPNOTSUPP for a request that this version does not know.</returns>
    public static ValueTask<DriverReply> DispatchAsync(IoctlScope scope, ReferenceId reference, DriverRequest request)
    {
        if (scope.Context.FindDriver(reference) is not { } driver)
        {
            return ValueTask.FromResult(OperationResult.Fail(Errno.EBADF, DiagnosticReason.ReferenceNotFound).ToDriverReply());
        }

        return Find(request) is { } row
            ? row.Handler(scope, driver, request)
            : ValueTask.FromResult(OperationResult.Fail(Errno.EOPNOTSUPP, DiagnosticReason.UnsupportedRequest).ToDriverReply());
    }

    /// <summary>Whether a driver's request has changed the context, or may have, given its answer. Such an answer must be journaled.</summary>
    public static bool Changes(DriverRequest request, DriverReply reply) => Find(request) is { } row && row.Changes(request, reply);

    private static Row? Find(DriverRequest? request) => request is not null && Table.TryGetValue(request.GetType(), out var row) ? row : null;

    private static Row Of<T>(Func<IoctlScope, ContextReference, T, ValueTask<DriverReply>> run, ChangeRule<T> changes)
        where T : DriverRequest
        => new(
            typeof(T),
            (scope, driver, request) => run(scope, driver, (T)request),
            (request, reply) => changes((T)request, reply.Errno));

    // Most accesses of a device change nothing, which only the answer tells.
    private static Row OfDma<T>(Func<T, ObjectId> device, Func<IoctlScope, DeviceEntry, T, ValueTask<DriverReply>> run)
        where T : DriverRequest
        => new(
            typeof(T),
            (scope, driver, request) => DriverHandler.Find<DeviceEntry>(scope, driver, device((T)request)) is { } entry
                ? run(scope, entry, (T)request)
                : ValueTask.FromResult(DriverHandler.NotFound<DeviceEntry>(scope, device((T)request))),
            static (_, reply) => reply.Dma is not null);

    private static Row OfDevice<T>(Func<T, ObjectId> device, Func<IoctlScope, DeviceEntry, T, ValueTask<OperationResult>> run, ChangeRule<T> changes)
        where T : DriverRequest
        => OfMade(device, run, changes);

    private static Row OfAccess<T>(Func<T, ObjectId> access, Func<IoctlScope, AccessEntry, T, ValueTask<OperationResult>> run, ChangeRule<T> changes)
        where T : DriverRequest
        => OfMade(access, run, changes);

    private static Row OfMade<T, TEntry>(Func<T, ObjectId> id, Func<IoctlScope, TEntry, T, ValueTask<OperationResult>> run, ChangeRule<T> changes)
        where T : DriverRequest
        where TEntry : DriverOwnedEntry
        => Of<T>(
            async (scope, driver, request) => DriverHandler.Find<TEntry>(scope, driver, id(request)) is { } entry
                ? (await run(scope, entry, request)).ToDriverReply()
                : DriverHandler.NotFound<TEntry>(scope, id(request)),
            changes);

    private static FrozenDictionary<Type, Row> Build(params Row[] rows) => rows.ToFrozenDictionary(row => row.Request);

    /// <summary>A type of request, its handler and its rule.</summary>
    private sealed record Row(Type Request, DriverRequestHandler Handler, Func<DriverRequest, DriverReply, bool> Changes);
}
