using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Accesses;

/// <summary>Accesses: what their drivers do with them (the kernel's <c>iommufd_access_*</c>).</summary>
internal static class AccessHandlers
{
    /// <summary>What the file of an access is called as a reference.</summary>
    public const string FileName = "selftest access";

    /// <summary><c>iommufd_access_create</c>: the access is visible, and held by its driver, when this answers. Null where every id is taken.</summary>
    public static AccessEntry? Create(IoctlScope scope, HoldOwner driver, bool needsPinPages)
    {
        if (scope.Context.Objects.Reserve((id, serial) => new AccessEntry(id, serial, needsPinPages)) is not { } access)
        {
            return null;
        }

        access.DriverHold = Hold.RefToUsers(driver, access, "access");
        scope.Context.Objects.Finalize(access);
        return access;
    }

    /// <summary><c>iommufd_access_destroy</c>: only the driver holds an access, so this can't fail.</summary>
    public static async ValueTask DestroyAsync(IoctlScope scope, AccessEntry access)
    {
        await LeaveAsync(scope, access.Id, access.Ioas);
        access.Attach(null);
        access.DriverHold?.Drop();
        access.DriverHold = null;
        await scope.EndAsync(access);
    }

    /// <summary><c>iommufd_access_attach</c>.</summary>
    public static ValueTask<OperationResult> AttachAsync(IoctlScope scope, AccessEntry access, uint ioas)
        => access.Ioas is null
            ? MoveAsync(scope, access, ioas)
            : ValueTask.FromResult(OperationResult.Fail(Errno.EINVAL, DiagnosticReason.AccessAttached, access));

    /// <summary><c>iommufd_access_replace</c>: the pins are dropped, those of an access that stays where it is are not.</summary>
    public static ValueTask<OperationResult> ReplaceAsync(IoctlScope scope, AccessEntry access, uint ioas)
        => access.Ioas is null ? ValueTask.FromResult(NotAttached(Errno.ENOENT, access)) : MoveAsync(scope, access, ioas);

    /// <summary><c>iommufd_access_detach</c>.</summary>
    public static async ValueTask<OperationResult> DetachAsync(IoctlScope scope, AccessEntry access)
    {
        if (access.Ioas is not { } ioas)
        {
            return NotAttached(Errno.EINVAL, access);
        }

        access.Attach(null);
        await LeaveAsync(scope, access.Id, ioas);
        return default;
    }

    /// <summary><c>iommufd_access_pin_pages</c>. Answers the pages; the pin has the access's next number.</summary>
    public static async ValueTask<PagesReply> PinAsync(IoctlScope scope, AccessEntry access, IoasAccessRequest request, ExpectedMemory? expected)
    {
        if (access.Ioas is not { } ioas)
        {
            return Failed(NotAttached(Errno.ENOENT, access));
        }

        var pages = await IoasPinningHandlers.CallAsync(
            scope, ioas, (Request: request, Pin: access.NextPin, Expected: expected),
            static (grain, stamp, argument, facts) => grain.PinPagesAsync(stamp, argument.Request, argument.Pin, argument.Expected, facts));
        if (pages.Errno == Errno.None)
        {
            access.TakePin();
        }

        return Explained(pages, ioas);
    }

    /// <summary><c>iommufd_access_unpin_pages</c>.</summary>
    public static async ValueTask<OperationResult> UnpinAsync(IoctlScope scope, AccessEntry access, uint pin)
    {
        if (access.Ioas is not { } ioas)
        {
            return new OperationResult(Errno.ENOENT, default, Failure.Because(DiagnosticReason.PinNotFound, pin, about: access.Ref));
        }

        return OperationResult.Of(
            await scope.Grains.CallAsync<IIoasGrain, (ObjectId Access, uint Pin), ObjectReply>(
                ioas, (access.Id, pin), static (grain, stamp, argument) => grain.UnpinPagesAsync(stamp, argument.Access, argument.Pin)),
            ioas);
    }

    /// <summary><c>iommufd_access_rw</c>, as far as it is not copying: answers the pages to copy from or to.</summary>
    public static async ValueTask<PagesReply> ResolveAsync(IoctlScope scope, AccessEntry access, IoasAccessRequest request)
    {
        if (access.Ioas is not { } ioas)
        {
            return Failed(NotAttached(Errno.ENOENT, access));
        }

        return Explained(
            await IoasPinningHandlers.CallAsync(scope, ioas, request, static (grain, stamp, request, facts) => grain.AccessRwAsync(stamp, request, facts)),
            ioas);
    }

    /// <summary>What the IOAS told of an access, with what the context knows.</summary>
    public static AccessState Complete(AccessEntry access, AccessState state) => access.Describe() with { Pins = state.Pins, PinnedBytes = state.PinnedBytes };

    // iommufd_access_change_ioas_id: the new IOAS is joined before the old one is left.
    private static async ValueTask<OperationResult> MoveAsync(IoctlScope scope, AccessEntry access, uint id)
    {
        if (scope.Context.Objects.Find<IoasEntry>(id) is not { } ioas)
        {
            return OperationResult.NotFound(scope.Context.Objects, id);
        }

        var before = access.Ioas;
        if (before == ioas)
        {
            return default;
        }

        var result = await IoasHandlers.ChangeAsync(scope, ioas, [new AddAccess(access.Id, access.NeedsPinPages, access.LocksAreas)]);
        if (result.Succeeded)
        {
            access.Attach(ioas);
            await LeaveAsync(scope, access.Id, before);
        }

        return result;
    }

    private static async ValueTask LeaveAsync(IoctlScope scope, ObjectId access, IoasEntry? ioas)
    {
        if (ioas is not null)
        {
            await IoasHandlers.ChangeAsync(scope, ioas, [new RemoveAccess(access)]);
        }
    }

    private static OperationResult NotAttached(Errno errno, AccessEntry access) => OperationResult.Fail(errno, DiagnosticReason.AccessNotAttached, access);

    private static PagesReply Failed(OperationResult result) => PagesReply.Failed(result.Errno, result.Diagnostic);

    private static PagesReply Explained(PagesReply pages, IoasEntry ioas)
        => pages.Errno == Errno.None ? pages : Failed(OperationResult.Of(pages, ioas)) with { Slices = pages.Slices };
}
