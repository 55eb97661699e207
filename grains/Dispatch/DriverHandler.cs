using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Accesses;
using IommuFd.Grains.Objects.Devices;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Uapi;

namespace IommuFd.Grains.Dispatch;

/// <summary>What drivers ask of a context that no object's own handlers do: holds, making and ending objects, pins and copies.</summary>
internal static class DriverHandler
{
    public static async ValueTask<DriverReply> HoldAsync(IoctlScope scope, ContextReference driver, HoldObjectRequest request)
    {
        var reply = scope.Context.HoldObject(driver.Id, request.Target, request.Type, request.Why);
        if (reply.Errno != Errno.None)
        {
            return reply;
        }

        var counted = await scope.Grains.HoldAsync(scope.Context.FindHold(reply.Hold)!.Target);
        if (counted.Succeeded)
        {
            return reply;
        }

        scope.Context.DropObject(driver.Id, reply.Hold);
        return counted.ToDriverReply();
    }

    public static ValueTask<DriverReply> DropAsync(IoctlScope scope, ContextReference driver, DropHoldRequest request)
        => DropAsync(scope, driver.Id, request.Hold);

    /// <summary>
    /// Drops a hold of a driver's reference, in the table and in the object's grain. The table decides: a driver can always drop what it
    /// holds.
    /// </summary>
    public static async ValueTask<DriverReply> DropAsync(IoctlScope scope, ReferenceId reference, HoldId id)
    {
        var target = scope.Context.FindHold(id)?.Target;
        var reply = scope.Context.DropObject(reference, id);
        if (reply.Errno == Errno.None)
        {
            await scope.Grains.DropAsync(target!);
        }

        return reply;
    }

    public static ValueTask<DriverReply> BindDevice(IoctlScope scope, ContextReference driver, BindDeviceRequest request)
        => ValueTask.FromResult(DeviceHandlers.Bind(scope, driver, request.Device).ToDriverReply());

    public static async ValueTask<OperationResult> UnbindDeviceAsync(IoctlScope scope, DeviceEntry device)
    {
        await DeviceHandlers.UnbindAsync(scope, device);
        return default;
    }

    public static ValueTask<DriverReply> CreateAccess(IoctlScope scope, ContextReference driver, CreateAccessRequest request)
        => ValueTask.FromResult(AccessHandlers.Create(scope, driver, request.NeedsPinPages) is { } access
            ? new DriverReply(Errno.None, access.Id)
            : scope.Context.Objects.NoRoom().ToDriverReply());

    public static async ValueTask<OperationResult> DestroyAccessAsync(IoctlScope scope, AccessEntry access)
    {
        await AccessHandlers.DestroyAsync(scope, access);
        return default;
    }

    public static async ValueTask<DriverReply> PinAsync(IoctlScope scope, ContextReference driver, PinPagesRequest request)
    {
        if (Find<AccessEntry>(scope, driver, request.Access) is not { } access)
        {
            return NotFound<AccessEntry>(scope, request.Access);
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
        var pages = await AccessHandlers.PinAsync(scope, access, Request(request.Access, request.Iova, request.Length, request.Write), null);
        return Reply(pages) with { Pin = pages.Errno == Errno.None ? pin : 0 };
    }

    public static async ValueTask<DriverReply> CopyAsync(IoctlScope scope, ContextReference driver, AccessRwRequest request)
    {
        if (Find<AccessEntry>(scope, driver, request.Access) is not { } access)
        {
            return NotFound<AccessEntry>(scope, request.Access);
        }

        return TooLarge(request.Length)
            ?? Reply(await AccessHandlers.ResolveAsync(scope, access, Request(request.Access, request.Iova, request.Length, request.Write)));
    }

    /// <summary>Ends the objects that a driver has made, and drops what it holds, because its reference is put.</summary>
    public static async ValueTask ReleaseDriverObjectsAsync(IoctlScope scope, ContextReference driver)
    {
        foreach (var hold in driver.Held().ToList())
        {
            if (hold.Id != default)
            {
                await DropAsync(scope, driver.Id, hold.Id);
            }
            else if (hold.Target is DriverOwnedEntry entry)
            {
                await GrainKind.Of(entry).EndForDriverAsync(scope, entry);
            }
            else
            {
                // The reference is a file that leads to the object; putting it drops the hold.
                await GrainKind.Of(hold.Target).CloseFileAsync(scope, hold.Target);
            }
        }
    }

    /// <summary>An object that the driver has made, or null.</summary>
    public static T? Find<T>(IoctlScope scope, ContextReference driver, ObjectId id)
        where T : DriverOwnedEntry
        => scope.Context.Objects.Find<T>(id.Value) is { } entry && entry.DriverHold?.Owner == driver ? entry : null;

    /// <summary>The answer where <see cref="Find"/> finds nothing.</summary>
    public static DriverReply NotFound<T>(IoctlScope scope, ObjectId id)
        where T : DriverOwnedEntry
        => (scope.Context.Objects.Find<T>(id.Value) is { } entry
            ? OperationResult.Fail(Errno.ENOENT, DiagnosticReason.ObjectOfOtherDriver, entry)
            : OperationResult.NotFound(scope.Context.Objects, id.Value)).ToDriverReply();

    private static DriverReply? TooLarge(ulong length) => length <= IoctlLimits.MaxAccessBytes
        ? null
        : new DriverReply(Errno.ENOMEM, Diagnostic: Failure.Because(DiagnosticReason.RequestTooLarge, length, IoctlLimits.MaxAccessBytes));

    private static IoasAccessRequest Request(ObjectId access, ulong iova, ulong length, bool write)
        => new(access, iova, length, write ? IommuTestAccessFlags.Write : IommuTestAccessFlags.None);

    private static DriverReply Reply(PagesReply pages)
        => new(pages.Errno, Memory: pages.Errno == Errno.None ? IoasPinningHandlers.MemoryOf(pages.Slices) : null, Diagnostic: pages.Diagnostic);
}
