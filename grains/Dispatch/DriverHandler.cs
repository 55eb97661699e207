using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Accesses;
using IommuFd.Grains.Objects.Devices;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Uapi;

namespace IommuFd.Grains.Dispatch;

/// <summary>What drivers ask of a context. Whoever refers to it as a driver acts on what that reference has made, and on nothing else.</summary>
internal static class DriverHandler
{
    public static ValueTask<DriverReply> RunAsync(IoctlScope scope, ReferenceId reference, DriverRequest request)
    {
        if (scope.Context.FindDriver(reference) is not { } driver)
        {
            return ValueTask.FromResult(OperationResult.Fail(Errno.EBADF, DiagnosticReason.ReferenceNotFound).ToDriverReply());
        }

        return request switch
        {
            HoldObjectRequest hold => ValueTask.FromResult(scope.Context.HoldObject(reference, hold.Target, hold.Type, hold.Why)),
            DropHoldRequest drop => ValueTask.FromResult(scope.Context.DropObject(reference, drop.Hold)),
            BindDeviceRequest bind => ValueTask.FromResult(DeviceHandlers.Bind(scope, driver, bind.Device).ToDriverReply()),
            CreateAccessRequest create => ValueTask.FromResult(CreateAccess(scope, driver, create)),
            UnbindDeviceRequest unbind => OfDeviceAsync(scope, driver, unbind.Device, UnbindAsync),
            AttachDeviceRequest attach => OfDeviceAsync(scope, driver, attach.Device, (scope, device) => DeviceAttachHandlers.AttachAsync(scope, device, attach.Pasid, attach.PageTable.Value)),
            ReplaceDeviceRequest replace => OfDeviceAsync(scope, driver, replace.Device, (scope, device) => DeviceAttachHandlers.ReplaceAsync(scope, device, replace.Pasid, replace.PageTable.Value)),
            DetachDeviceRequest detach => OfDeviceAsync(scope, driver, detach.Device, (scope, device) => DeviceAttachHandlers.DetachAsync(scope, device, detach.Pasid)),
            DestroyAccessRequest destroy => OfAccessAsync(scope, driver, destroy.Access, DestroyAsync),
            AttachAccessRequest attach => OfAccessAsync(scope, driver, attach.Access, (scope, access) => AccessHandlers.AttachAsync(scope, access, attach.Ioas.Value)),
            ReplaceAccessRequest replace => OfAccessAsync(scope, driver, replace.Access, (scope, access) => AccessHandlers.ReplaceAsync(scope, access, replace.Ioas.Value)),
            DetachAccessRequest detach => OfAccessAsync(scope, driver, detach.Access, AccessHandlers.DetachAsync),
            UnpinPagesRequest unpin => OfAccessAsync(scope, driver, unpin.Access, (scope, access) => AccessHandlers.UnpinAsync(scope, access, unpin.Pin)),
            PinPagesRequest pin => PinAsync(scope, driver, pin),
            AccessRwRequest copy => CopyAsync(scope, driver, copy),
            _ => ValueTask.FromResult(OperationResult.Fail(Errno.EOPNOTSUPP, DiagnosticReason.UnsupportedOp).ToDriverReply()),
        };
    }

    /// <summary>Ends what a driver has made, because the driver is gone.</summary>
    public static async ValueTask AbandonAsync(IoctlScope scope, ContextReference driver)
    {
        var made = new List<DriverOwnedEntry>();
        for (var hold = driver.FirstHeld; hold is not null; hold = hold.NextHeld)
        {
            if (hold.Target is DriverOwnedEntry entry && entry.DriverHold == hold)
            {
                made.Add(entry);
            }
        }

        foreach (var entry in made)
        {
            await ObjectTypes.Get(entry.Type).Abandon!(scope, entry);
        }
    }

    private static async ValueTask<OperationResult> UnbindAsync(IoctlScope scope, DeviceEntry device)
    {
        await DeviceHandlers.UnbindAsync(scope, device);
        return default;
    }

    private static async ValueTask<OperationResult> DestroyAsync(IoctlScope scope, AccessEntry access)
    {
        await AccessHandlers.DestroyAsync(scope, access);
        return default;
    }

    private static DriverReply CreateAccess(IoctlScope scope, ContextReference driver, CreateAccessRequest request)
        => AccessHandlers.Create(scope, driver, request.NeedsPinPages) is { } access
            ? new DriverReply(Errno.None, access.Id)
            : scope.Context.Objects.NoRoom().ToDriverReply();

    private static async ValueTask<DriverReply> PinAsync(IoctlScope scope, ContextReference driver, PinPagesRequest request)
    {
        if (Find<AccessEntry>(scope, driver, request.Access) is not { } access)
        {
            return NotFound(scope, request.Access);
        }

        if (!access.NeedsPinPages)
        {
            return OperationResult.Fail(Errno.EINVAL, DiagnosticReason.AccessDoesNotPin, access).ToDriverReply();
        }

        if (TooLarge(request.Length) is { } tooLarge)
        {
            return tooLarge;
        }

        var pin = access.NextPin;
        var pages = await AccessHandlers.PinAsync(scope, access, Request(request.Access, request.Iova, request.Length, request.Write), default);
        return Reply(pages) with { Pin = pages.Errno == Errno.None ? pin : 0 };
    }

    private static async ValueTask<DriverReply> CopyAsync(IoctlScope scope, ContextReference driver, AccessRwRequest request)
    {
        if (Find<AccessEntry>(scope, driver, request.Access) is not { } access)
        {
            return NotFound(scope, request.Access);
        }

        return TooLarge(request.Length)
            ?? Reply(await AccessHandlers.ResolveAsync(scope, access, Request(request.Access, request.Iova, request.Length, request.Write)));
    }

    private static ValueTask<DriverReply> OfDeviceAsync(
        IoctlScope scope, ContextReference driver, ObjectId id, Func<IoctlScope, DeviceEntry, ValueTask<OperationResult>> run)
        => OfAsync(scope, driver, id, run);

    private static ValueTask<DriverReply> OfAccessAsync(
        IoctlScope scope, ContextReference driver, ObjectId id, Func<IoctlScope, AccessEntry, ValueTask<OperationResult>> run)
        => OfAsync(scope, driver, id, run);

    private static async ValueTask<DriverReply> OfAsync<T>(
        IoctlScope scope, ContextReference driver, ObjectId id, Func<IoctlScope, T, ValueTask<OperationResult>> run)
        where T : DriverOwnedEntry
        => Find<T>(scope, driver, id) is { } entry ? (await run(scope, entry)).ToDriverReply() : NotFound(scope, id);

    private static T? Find<T>(IoctlScope scope, ContextReference driver, ObjectId id)
        where T : DriverOwnedEntry
        => scope.Context.Objects.Find<T>(id.Value) is { } entry && entry.DriverHold?.Owner == driver ? entry : null;

    private static DriverReply NotFound(IoctlScope scope, ObjectId id) => OperationResult.NotFound(scope.Context.Objects, id.Value).ToDriverReply();

    private static DriverReply? TooLarge(ulong length) => length <= IoctlLimits.MaxAccessBytes
        ? null
        : new DriverReply(Errno.ENOMEM, Diagnostic: Failure.Because(DiagnosticReason.RequestTooLarge, length, IoctlLimits.MaxAccessBytes));

    private static IoasAccessRequest Request(ObjectId access, ulong iova, ulong length, bool write)
        => new(access, iova, length, write ? IommuTestAccessFlags.Write : IommuTestAccessFlags.None);

    private static DriverReply Reply(PagesReply pages)
        => new(pages.Errno, Memory: pages.Errno == Errno.None ? AccessHandlers.MemoryOf(pages.Slices) : null, Diagnostic: pages.Diagnostic);
}
